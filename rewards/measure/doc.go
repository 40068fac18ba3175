// Package measure is what rewards compare texts, numbers, JSON and tool runs
// with: pure functions, each with the source of its definition. Values are in
// [0, 1] unless said otherwise.
//
// What a call costs depends on the sizes of its arguments only. The caller
// bounds them; the comment of each function says how they count.
package measure
