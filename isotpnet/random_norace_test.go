//go:build !race

package isotpnet_test

const randomShare = 1
