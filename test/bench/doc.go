// Package bench has the benchmarks of frames in memory: what docs/figures.md is made from,
// and what make bench-against compares. It is a module of its own, and of isotpnet it uses
// only names that are there to stay, so that the same source measures the working tree and
// old commits: test/measure builds it with either by a replace directive.
//
// Each benchmark reports what one unit takes, such as a frame: ns by the clock, and cpu-ns of
// processor time, which says more on a machine that has other things to do.
package bench
