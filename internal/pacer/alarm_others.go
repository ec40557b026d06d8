//go:build !linux

package pacer

func newAlarm(ready func() bool) alarm { return newTimerAlarm(ready) }
