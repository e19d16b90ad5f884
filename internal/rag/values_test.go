package rag

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestAnErrorKeepsItsKindAndCodeThroughWrapping(t *testing.T) {
	cause := errors.New("dial tcp: refused")
	err := fmt.Errorf("generate: %w", Errorf(Unavailable, CodeUnreachable, "no host answers").Because(cause))
	if KindOf(err) != Unavailable || CodeOf(err) != CodeUnreachable || !errors.Is(err, cause) {
		t.Error(KindOf(err), CodeOf(err))
	}
	if KindOf(nil) != "" || KindOf(cause) != Internal || CodeOf(cause) != "" || CodeOf(Errorf(TooLarge, "", "x")) != "too_large" {
		t.Error("errors without a kind")
	}
	e := Errorf(RateLimited, "", "wait")
	e.RetryAfter = time.Second
	if e.ProblemKind() != "rate_limited" || e.ProblemDetail() != "wait" || e.ProblemRetryAfter() != time.Second {
		t.Error(e)
	}
}

func TestAReportKeepsFaultsBeforeFilesThatWentWell(t *testing.T) {
	var r IngestReport
	for i := range MaxReportItems + 10 {
		r.Add(ReportItem{Source: fmt.Sprint(i), Status: FileAdded, Passages: 2})
	}
	r.Add(ReportItem{Source: "bad", Status: FileSkipped, Reason: "broken", Code: "unreadable"})
	if len(r.Items) != MaxReportItems || r.ItemsOmitted != 11 || r.Items[len(r.Items)-1].Source != "bad" {
		t.Error(len(r.Items), r.ItemsOmitted)
	}
	if r.Added != MaxReportItems+10 || r.Skipped != 1 || r.FilesDone != MaxReportItems+11 || r.Passages != 2*(MaxReportItems+10) {
		t.Errorf("%d added, %d skipped, %d done", r.Added, r.Skipped, r.FilesDone)
	}
	r.Add(ReportItem{Status: FileDeleted})
	if r.Deleted != 1 || r.FilesDone != MaxReportItems+11 {
		t.Error("a deleted document counts as a file that was read")
	}
}

func TestAJobWithoutOneReadableFileIsAFault(t *testing.T) {
	var r IngestReport
	if r.Nothing() != nil {
		t.Error("an empty folder is no fault")
	}
	r.Add(ReportItem{Source: "a.pdf", Status: FileSkipped, Reason: "is encrypted", Code: string(Unreadable)})
	if err := r.Nothing(); KindOf(err) != Unreadable || CodeOf(err) != "nothing_ingested" {
		t.Error(err)
	}
	big := IngestReport{Skipped: 1, Items: []ReportItem{{Status: FileSkipped, Code: string(TooLarge)}}}
	if err := big.Nothing(); KindOf(err) != TooLarge {
		t.Error(err)
	}
	r.Add(ReportItem{Status: FileUnchanged})
	if r.Nothing() != nil {
		t.Error("one good file is enough")
	}
}

func TestRatesAreFractions(t *testing.T) {
	s := CacheStats{Exact: 10, Semantic: 5, Misses: 5, Size: 3, MaxSize: 12}
	if s.HitRate() != .75 || s.FillRatio() != .25 || (CacheStats{}).HitRate() != 0 || (CacheStats{}).FillRatio() != 0 {
		t.Error(s.HitRate(), s.FillRatio())
	}
}
