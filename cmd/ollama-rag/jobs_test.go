package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func TestJobsShowWhatWasSkippedAndWhy(t *testing.T) {
	job := func(id string, skipped, forgotten int) jobView {
		j := jobView{ID: id, DB: "docs", State: rag.JobDone}
		j.Report.Add(rag.ReportItem{Source: "good.md", Status: rag.FileAdded})
		for i := range skipped {
			j.Report.Add(rag.ReportItem{Source: fmt.Sprintf("%d.bin", i), Status: rag.FileSkipped, Reason: "holds binary data"})
		}
		j.Report.Skipped += forgotten // a report keeps so many items and no more
		return j
	}
	var out strings.Builder
	if err := printJobs(&out, []jobView{job("first", 0, 0), job("a-longer-id", 5, 0), job("third", 7, 2)}); err != nil {
		t.Fatal(err)
	}
	want := `ID           KNOWLEDGE BASE  STATE  DONE
first        docs            done   1 of 0 files, 0 passages
a-longer-id  docs            done   6 of 0 files, 0 passages
  skipped 0.bin: holds binary data
  skipped 1.bin: holds binary data
  skipped 2.bin: holds binary data
  skipped 3.bin: holds binary data
  skipped 4.bin: holds binary data
third        docs            done   8 of 0 files, 0 passages
  skipped 0.bin: holds binary data
  skipped 1.bin: holds binary data
  skipped 2.bin: holds binary data
  skipped 3.bin: holds binary data
  skipped 4.bin: holds binary data
  ... and 4 more: --json has all
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := printJobs(&out, nil); err != nil || out.String() != "ID  KNOWLEDGE BASE  STATE  DONE\n" {
		t.Errorf("without jobs: %q, %v", out.String(), err)
	}
}
