# make check         the checks and the tests that need no machine: before each commit
# make demo          a file crosses a CAN bus
# make test          everything that .ci/run checks
# make cover         what the tests cover, with those in machines; the rest in uncovered.txt
# make kernels       the tests of Linux's CAN sockets, inside each kernel, 20 times
# make bench-against REV=COMMIT   how much faster or slower than that commit this is
# make plot-test     reports of isotp plot in a browser: zoom, mouse and keys
# make figures       docs/figures.md anew
# make soak          the tests that CI runs once, 200 times, and long fuzzing
# make mutants       whether the tests notice mistakes in the code: a sample of 300
# make api           accept a change of the exported API: see test/api
# make corpus        keep what fuzzing has found, for the next run to start from
#
# All but check, which needs Go alone, install what they need.

.PHONY: check demo test cover kernels bench-against plot-test figures soak mutants api corpus

check:
	go run ./test/run $@

test cover kernels:
	./test/setup
	go run ./test/run $@

demo:
	go run ./cmd/isotp demo

# as make bench-against REV=HEAD~3 ARGS="-bench RoundTrip -rounds 6 -cpu 1"
bench-against:
	@test -n "$(REV)" || { echo "usage: make bench-against REV=COMMIT"; exit 2; }
	go run ./test/measure $(ARGS) against $(REV)

plot-test:
	./test/plot/setup
	cd test/plot && go test -count 1 -timeout 10m .

# as make figures SECTIONS="memory wire"
figures:
	./test/setup
	go run ./test/measure figures $(SECTIONS)

soak:
	./test/soak

# as make mutants ARGS="-seed 2 -match Budget ./internal/engine"
mutants:
	nice go run ./test/mutate $(ARGS)

api:
	go test ./test/api -run TestAPI -update

corpus:
	./test/corpus

# make rename MODULE=github.com/you/isotp   gives the module another path
.PHONY: rename
rename:
	@test -n "$(MODULE)" || { echo "usage: make rename MODULE=github.com/you/isotp"; exit 2; }
	grep -rlF example.com/isotp --include='*.go' --include='*.md' --include=go.mod . | xargs sed -i.bak 's#example.com/isotp#$(MODULE)#g'
	find . -name '*.bak' -delete
	gofmt -w .
