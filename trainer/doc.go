// Package trainer runs a night: from a dataset to a bundle.
//
// [Run] is the path, stage by stage:
//
//	select → score → group → advantage → learn → gate → bundle
//
// or, for policy: adapter,
//
//	select → score → group → advantage → sequence → forward → update → evaluate → bundle
//
// Each stage writes its artifact into runs/<id>/ with the hash of what it was
// made from; a stage whose artifact is there for the same inputs is not run
// again. docs/training.md says what each stage does, how the gate decides, and
// what the keys of train.yaml mean.
//
// A run always ends in a candidate bundle and a report; the bundle's status is
// released only if the gate passes. A prompt's night talks to no model and no
// network; an adapter's talks to a [Server] that trains.
package trainer
