// Package rescore evaluates reward rules anew over the trajectories of a
// dataset, with the facts that are known by now.
//
// [Each] is the arrow: it reads and scores beside each other and hands out what
// it found in a fixed order. [Changed] says which of it the dataset does not
// hold yet, and an [Appender] writes that. [Compare] sets two rewards files side
// by side.
package rescore
