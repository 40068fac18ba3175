// Package grpo turns the returns of a group into advantages.
//
// A group holds attempts at the same task. With R_i the return of attempt i,
// mean and std over the group and n its size, [Advantages] computes
//
//	GRPO     A_i = (R_i - mean) / (std + ε)    std with n-1, ε = 1e-6
//	Dr.GRPO  A_i =  R_i - mean
//
// Sources: GRPO is Shao et al. 2024, arXiv:2402.03300, section 4.1.2; the
// paper does not say which std it means, TRL, verl and SkyRL take n-1 and so
// do we. Leaving the division out is Dr.GRPO, Liu et al. 2025,
// arXiv:2503.20783: dividing by std gives nearly decided tasks more weight
// than open ones.
//
// A group whose returns are all equal says nothing about what was better. It is
// dropped before anything is normalised and counted ([Batch], [Dropped]); so
// are groups of one. This is the filter of DAPO's dynamic sampling, Yu et al.
// 2025, arXiv:2503.14476, applied to logged attempts.
//
// The package is pure and knows the standard library only: no files, no clock,
// no randomness.
package grpo
