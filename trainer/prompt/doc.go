// Package prompt learns a prompt policy from the contrast within groups, with
// no model and no GPU.
//
// [Read] turns a trajectory into a [Profile]: which tools it called, whether it
// repeated itself, whether it cited a source. A profile holds numbers and
// allow-listed identifiers, never text of a user, an answer or a tool. [Learn]
// compares, within the same group, the advantages of trajectories that have a
// [Feature] with those that do not, and writes the features that made a
// difference as guidance [Item]s from fixed templates. [Gate] asks the same
// question of the holdout, once, for the guidance as a whole.
//
// # Statistics
//
// A stratum is one group served by one bundle. Within a stratum s with n1
// trajectories that have the feature and n0 that have not,
//
//	d_s = mean(y | with) - mean(y | without)
//	w_s = n1 n0 / (n1 + n0)
//	effect = Σ w_s d_s / Σ w_s
//
// These are the weights of Cochran 1954 (Biometrics 10:417, "Some methods for
// strengthening the common χ² tests"), which Mantel and Haenszel 1959 (JNCI
// 22:719) use for counts; the effect is the coefficient of the feature in a
// regression with one intercept per stratum. Strata in which all or none have
// the feature have no say.
//
// p values are from permutations of y within strata (exact if nothing but
// chance assigned the outcomes; above [maxExact] trajectories the normal limit of the
// same distribution). Several features are tested at once: [Learn] controls the
// false discovery rate (Benjamini and Hochberg 1995, JRSS B 57:289).
//
// Intervals are from a residual bootstrap with a fixed seed: y minus the mean of
// its cell (stratum × with/without), scaled by √(N / (N - cells)) so that small
// cells do not look certain (Davison and Hinkley 1997, section 6.2). One pair of
// ± the within-stratum deviation is added to the residuals: without it, a
// feature that separates good from bad perfectly would have an interval of
// width zero however few trajectories were seen.
//
// All of this describes what went together, not what caused what. The gate's
// matched comparison is evidence for a candidate, not a trial.
package prompt
