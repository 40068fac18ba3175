// Package rewards turns a trajectory and the facts known about it into
// rewards: one number per rule, or per rule and step.
//
// Rules live in one YAML file, which the collector and the trainer load with
// [Load]: the same bytes, the same hash, one truth. docs/rewards.md specifies
// the file and says what a rule can see. [Engine.Score] is the arrow;
// [Engine.Return] adds the rewards of a trajectory up.
//
// A rule never invents a number: what cannot be computed is null, with the
// reason. What a rule may cost is bounded when it is loaded (limits.go), not
// by clocks while it runs, so that the same trajectory has the same rewards on
// every machine.
package rewards
