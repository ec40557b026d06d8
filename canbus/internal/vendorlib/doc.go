// Package vendorlib is what drivers share that reach an adapter through the library of its
// maker: how the library is loaded, on Windows, and how the times of the adapter's clock
// become those of frames.
package vendorlib
