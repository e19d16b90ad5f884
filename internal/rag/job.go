package rag

// JobState is where an ingest job stands.
type JobState string

// The states of a job.
const (
	JobQueued    JobState = "queued"
	JobRunning   JobState = "running"
	JobPaused    JobState = "paused" // until somebody resumes it
	JobDone      JobState = "done"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// Job is one piece of ingest work.
type Job struct {
	ID       string        `json:"id"`
	DB       string        `json:"db"`
	State    JobState      `json:"state"`
	Request  IngestRequest `json:"request"`
	Report   IngestReport  `json:"report"`
	Error    string        `json:"error,omitempty"`
	Created  int64         `json:"created"`            // Unix seconds
	Finished int64         `json:"finished,omitempty"` // Unix seconds
}

// IngestRequest is what a job has to do.
type IngestRequest struct {
	DB      string       `json:"db"`
	Version string       `json:"version"` // for all of its documents; empty means one made from each file's bytes
	Paths   []IngestPath `json:"paths"`
	Spool   string       `json:"spool,omitempty"`   // folder of uploaded files, removed when the job ended
	Reindex bool         `json:"reindex,omitempty"` // build all vectors anew, with the embedder that is set
	Adopt   bool         `json:"adopt,omitempty"`   // give passages that have none their vectors, whenever no other job waits
}

// IngestPath is a file or a folder to read.
type IngestPath struct {
	Name   string `json:"name"`             // as the person wrote it; sources are named after it
	File   string `json:"file"`             // absolute
	Upload bool   `json:"upload,omitempty"` // the file is a spooled copy: it has no origin on this machine
}

// FileStatus says what became of a file.
type FileStatus string

// What becomes of a file.
const (
	FileAdded     FileStatus = "added"
	FileReplaced  FileStatus = "replaced"
	FileUnchanged FileStatus = "unchanged"
	FileSkipped   FileStatus = "skipped"
	FileDeleted   FileStatus = "deleted"
)

// ReportItem is one file of a report.
type ReportItem struct {
	Source   string     `json:"source"`
	Status   FileStatus `json:"status"`
	Code     string     `json:"code,omitempty"`   // kind of the fault, for a skipped file
	Reason   string     `json:"reason,omitempty"` // why it was skipped
	Kind     string     `json:"kind,omitempty"`   // media type
	Encoding string     `json:"encoding,omitempty"`
	Passages int        `json:"passages,omitempty"`
	Warnings []string   `json:"warnings,omitempty"`
}

// IngestReport is what a job has done so far.
type IngestReport struct {
	Files        int          `json:"files"` // found so far
	FilesDone    int          `json:"files_done"`
	Added        int          `json:"added"`
	Replaced     int          `json:"replaced"`
	Unchanged    int          `json:"unchanged"`
	Skipped      int          `json:"skipped"`
	Deleted      int          `json:"deleted"`
	Passages     int          `json:"passages"`          // made
	Vectors      int          `json:"vectors"`           // made
	Pending      int          `json:"pending,omitempty"` // passages that wait for their vectors
	Bytes        int64        `json:"bytes"`
	Seconds      float64      `json:"seconds"`
	Rate         float64      `json:"passages_per_second,omitempty"` // with their vectors, since the job began to run
	SecondsLeft  float64      `json:"seconds_left,omitempty"`        // as far as it can be told by now
	Current      string       `json:"current,omitempty"`             // the file at work
	Embedder     string       `json:"embedder,omitempty"`            // its name; empty means by words alone
	Notice       string       `json:"notice,omitempty"`
	Items        []ReportItem `json:"items"`
	ItemsOmitted int          `json:"items_omitted,omitempty"`
}

// MaxReportItems bounds the items kept in a report. Faults are kept before files that went well.
const MaxReportItems = 2000

// Add writes one file into the report.
func (r *IngestReport) Add(it ReportItem) {
	r.FilesDone++
	switch it.Status {
	case FileAdded:
		r.Added++
	case FileReplaced:
		r.Replaced++
	case FileUnchanged:
		r.Unchanged++
	case FileSkipped:
		r.Skipped++
	case FileDeleted:
		r.Deleted++
		r.FilesDone--
	}
	r.Passages += it.Passages
	if len(r.Items) >= MaxReportItems {
		r.ItemsOmitted++
		if it.Status != FileSkipped || !r.dropWell() {
			return
		}
	}
	r.Items = append(r.Items, it)
}

// dropWell makes room by forgetting one file that went well.
func (r *IngestReport) dropWell() bool {
	for i, it := range r.Items {
		if it.Status != FileSkipped {
			r.Items = append(r.Items[:i], r.Items[i+1:]...)
			return true
		}
	}
	return false
}

// Nothing says that not one file of the job could be read, with the first reason.
func (r *IngestReport) Nothing() error {
	if r.Skipped == 0 || r.Added+r.Replaced+r.Unchanged+r.Deleted > 0 {
		return nil
	}
	for _, it := range r.Items {
		if it.Status == FileSkipped {
			kind := Unreadable
			if it.Code == string(TooLarge) {
				kind = TooLarge
			}
			return Errorf(kind, "nothing_ingested", "none of the %d files could be read; %s: %s", r.Skipped, it.Source, it.Reason)
		}
	}
	return nil
}
