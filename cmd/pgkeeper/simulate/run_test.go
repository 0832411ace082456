package main

import "testing"

func BenchmarkSchedules(b *testing.B) {
	for i := range b.N {
		play(newSchedule(uint64(i+1)), options{}, nil)
	}
}
