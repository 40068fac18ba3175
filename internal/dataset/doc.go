// Package dataset is the dataset on disk: five flat Parquet tables of
// trajectories (docs/dataset.md is the specification, version 1).
//
// [Rows] flattens a trajectory into rows and [Trajectories] is its inverse.
// A [Writer] turns a batch of trajectories into one committed set of files,
// [Files] lists the files of a table. Nothing here knows of spans or of a
// collector.
package dataset

// Version is the version of the layout and of the columns. Within it columns
// are only added.
const Version = 1

// The tables, by the names of their folders.
const (
	TableTrajectories = "trajectories"
	TableSteps        = "steps"
	TableMessages     = "messages"
	TableRewards      = "rewards"
	TableFacts        = "facts"
)

// Tables are all tables in the order in which a commit makes them visible:
// trajectories last, because a row there is what makes the others count.
var Tables = []string{TableMessages, TableSteps, TableRewards, TableFacts, TableTrajectories}
