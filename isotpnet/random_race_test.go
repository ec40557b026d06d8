//go:build race

package isotpnet_test

// randomShare is how many times fewer random worlds there are, since the race
// detector makes each of them slower.
const randomShare = 20
