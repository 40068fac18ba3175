package backfill

// Report is what an import did. Its JSON is printed by --json.
type Report struct {
	Dataset string `json:"dataset"`
	Writer  string `json:"writer"`
	DryRun  bool   `json:"dry_run"`
	Nothing bool   `json:"nothing_to_do"` // the same files were imported before
	Resumed bool   `json:"resumed"`       // what an earlier import had read was not read again

	Files   int            `json:"files"`
	Bytes   int64          `json:"bytes"`
	Formats map[string]int `json:"formats"` // spans and log records by the format of their file

	Spans      int            `json:"spans"`
	LogRecords int            `json:"log_records"`
	Ordinary   int            `json:"ordinary"` // spans of traces without any GenAI marker, log records that say nothing of a call
	Repeated   int64          `json:"repeated"` // spans that came twice
	Skipped    int            `json:"skipped"`  // records and files that could not be read
	Reasons    map[string]int `json:"skipped_reasons"`

	Trajectories Trajectories     `json:"trajectories"`
	Dialects     map[string]Count `json:"dialects"` // a trajectory counts for every dialect in it
	Facts        int              `json:"facts"`
	Batches      int              `json:"batches"`

	First   string  `json:"first_span,omitempty"` // RFC 3339
	Last    string  `json:"last_span,omitempty"`
	Seconds float64 `json:"seconds"`
}

// Trajectories counts trajectories, each once, and the revisions of them.
type Trajectories struct {
	Found     int `json:"found"`
	Written   int `json:"written"` // revisions
	There     int `json:"there"`   // revisions that the dataset had already
	Revisions int `json:"revisions"`
	Trainable int `json:"trainable"`
	Failed    int `json:"failed"` // status error
	Late      int `json:"late"`   // what is left of a trajectory that closed long before
	Invalid   int `json:"invalid"`
}

// Count is what was found of one dialect.
type Count struct {
	Trajectories int `json:"trajectories"`
	ModelCalls   int `json:"model_calls"`
	ToolCalls    int `json:"tool_calls"`
	Trainable    int `json:"trainable"`
}

// Complete says whether everything could be read.
func (r *Report) Complete() bool { return r.Skipped == 0 && r.Trajectories.Invalid == 0 }

func newReport(opt Options) Report {
	return Report{
		Dataset: opt.Dataset, Writer: opt.Writer, DryRun: opt.DryRun,
		Formats: map[string]int{}, Reasons: map[string]int{}, Dialects: map[string]Count{},
	}
}

func (r *Report) count(inputs []input) {
	r.Files = len(inputs)
	for _, in := range inputs {
		r.Bytes += in.Size
	}
}
