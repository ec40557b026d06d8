module example.com/isotp/test/bench

go 1.26.0

require example.com/isotp v0.0.0

require (
	github.com/mdlayher/socket v0.8.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace example.com/isotp => ../..
