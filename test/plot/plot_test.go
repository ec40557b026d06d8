// Package plot opens reports of isotp plot in a browser, Chromium without a window. make
// plot-test runs it.
package plot

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var tool = sync.OnceValues(func() (string, error) {
	path, err := filepath.Abs("../.bin/isotp")
	if err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", path, "./cmd/isotp").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// report writes a log of so many requests, each of which has an answer, and returns the report
// of it. Requests are 50 bytes, one each 100 ms: a First Frame, flow control with STmin 5 ms
// behind 1 ms, and 7 Consecutive Frames, one each 6 ms. Answers are Single Frames.
func report(t *testing.T, requests int) string {
	t.Helper()
	isotp, err := tool()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "drive.log")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(file)
	for i := range requests {
		at := 1_700_000_000_000_000 + 100_000*i // microseconds
		frame := func(after int, text string) {
			at := at + after
			fmt.Fprintf(w, "(%d.%06d) can0 %s\n", at/1e6, at%1e6, text)
		}
		frame(0, "7E0#103222F190030405")
		frame(1000, "7E8#300005")
		for sn := 1; sn <= 7; sn++ {
			frame(1000+6000*sn, fmt.Sprintf("7E0#2%d06070809101112", sn))
		}
		frame(60_000, "7E8#0462F19001")
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	file.Close()
	out := filepath.Join(t.TempDir(), "report.html")
	if text, err := exec.Command(isotp, "plot", log, "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("isotp plot: %v\n%s", err, text)
	}
	return "file://" + out
}

// A page is a report in a browser.
type page struct {
	t   *testing.T
	ctx context.Context
}

// patience is how long anything may take.
const patience = 15 * time.Second

// browser is one for all tests: each has a tab of its own.
var browser context.Context

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "plot-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(dir), chromedp.WindowSize(1280, 1400))
	ctx, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser := chromedp.NewContext(ctx)
	browser = ctx
	status := 1
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		fmt.Fprintln(os.Stderr, "Chromium does not start:", err)
	} else {
		status = m.Run()
	}
	closeBrowser()
	end()
	os.RemoveAll(dir)
	os.Exit(status)
}

// open opens a report.
func open(t *testing.T, url string) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	// The tab lives as long as the context of the first call.
	if _, err := chromedp.Run(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	p.await(`document.querySelector("#status").textContent != ""`)
	return p
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for _, a := range actions {
		if _, err := chromedp.Run(ctx, a); err != nil {
			p.t.Fatal(err)
		}
	}
}

// await waits until an expression is true.
func (p *page) await(expression string) {
	p.t.Helper()
	for begin := time.Now(); p.eval(expression) != "true"; time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > patience {
			p.t.Fatalf("it does not become true: %s\nit says %q and %q", expression, p.text("#status"), p.text("#chosen"))
		}
	}
}

// awaitText waits until an element has a text that begins so.
func (p *page) awaitText(selector, begin string) {
	p.t.Helper()
	p.await(fmt.Sprintf("document.querySelector(%q).textContent.startsWith(%q)", selector, begin))
}

func (p *page) text(selector string) string {
	return p.eval(fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

func (p *page) eval(expression string) string {
	p.t.Helper()
	s, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// point returns a point of the timeline: where a time is, in a lane's first or second track.
func (p *page) point(from, to, at float64, track int) (x, y float64) {
	p.t.Helper()
	var box [3]float64
	fmt.Sscan(p.eval(`(() => { const b = document.querySelector("#lanes").getBoundingClientRect(); return b.left + " " + b.top + " " + b.width; })()`), &box[0], &box[1], &box[2])
	const gutter, margin = 130, 10
	return box[0] + gutter + (at-from)/(to-from)*(box[2]-gutter-margin), box[1] + 20 + 24*float64(track)
}

const whole = "0.0000 s to 1.9600 s: 40 messages, 200 frames"

func TestOpening(t *testing.T) {
	p := open(t, report(t, 20))
	p.awaitText("#status", whole)
	if got, want := p.text("h1")+" | "+p.text("header p"), "drive.log | 40 ISO-TP messages of 200 frames, from 2023-11-14 22:13:20.000 UTC on"; got != want {
		t.Errorf("it begins with %q, want %q", got, want)
	}
	if got := p.text("#gaps-text"); !strings.HasPrefix(got, "120 gaps: least 6 ms, median 6 ms, 99 % within 6 ms, greatest 6 ms. STmin asked for: 5 ms; none came earlier.") {
		t.Errorf("of gaps it says %q", got)
	}
	if got := p.text("#rate-text"); !strings.HasPrefix(got, "Throughput in view: 549 B/s on average") { // 20 * 50 + 19 * 4 bytes in 1.96 s; the last answer is at the end
		t.Errorf("of throughput it says %q", got)
	}
}

func TestZoomByKeys(t *testing.T) {
	p := open(t, report(t, 20))
	p.do(chromedp.Focus("#lanes"), chromedp.KeyEvent("+"))
	p.awaitText("#status", "0.4900 s to 1.4700 s: ")
	p.do(chromedp.KeyEvent(kb.ArrowRight))
	p.awaitText("#status", "0.6860 s to 1.6660 s: ")
	p.do(chromedp.KeyEvent(kb.Home))
	p.awaitText("#status", "0.0000 s to 0.9800 s: ")
	p.do(chromedp.KeyEvent(kb.End))
	p.awaitText("#status", "0.9800 s to 1.9600 s: ")
	p.do(chromedp.KeyEvent("-"))
	p.awaitText("#status", whole)
}

func TestZoomByButtons(t *testing.T) {
	p := open(t, report(t, 20))
	p.do(chromedp.Click("#zoom-in"), chromedp.Click("#zoom-in"))
	p.awaitText("#status", "0.7350 s to 1.2250 s: ")
	p.do(chromedp.Click("#zoom-out"))
	p.awaitText("#status", "0.4900 s to 1.4700 s: ")
	p.do(chromedp.Click("#fit"))
	p.awaitText("#status", whole)
}

func TestZoomByWheelAndDrag(t *testing.T) {
	p := open(t, report(t, 20))
	x, y := p.point(0, 1.96, 0, 0)
	p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseWheel, x, y, func(e *input.DispatchMouseEventParams) {
		e.Modifiers, e.DeltaX, e.DeltaY = int64(kb.ModifierCtrl), 1e-9, -69.314718 // no 0: that would not be sent
	}))
	p.awaitText("#status", "0.0000 s to 0.9800 s: ") // it zooms around the pointer
	toX, _ := p.point(0, 1.96, -0.98, 0)
	middle, _ := p.point(0, 1.96, 0.98, 0)
	p.do(chromedp.DragAndDropXY(middle, y, middle+(toX-x), y))
	p.awaitText("#status", "0.4900 s to 1.4700 s: ")
}

func TestHoverTellsOfAMessageAndItsFrame(t *testing.T) {
	p := open(t, report(t, 20))
	x, y := p.point(0, 1.96, 0.12, 0)
	p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y))
	p.await(`!document.querySelector("#tip").hidden`)
	if got, want := p.text("#tip"), "7E0 to 7E8: 50 bytes at 0.1000 s\n9 frames in 43 ms, BS 0, STmin 5 ms\n22 F1 90 03 04 05 06 07 ..."; got != want {
		t.Errorf("it tells %q, want %q", got, want)
	}
	_, below := p.point(0, 1.96, 0.3, 1)
	p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, below))
	p.await(`document.querySelector("#tip").hidden`)

	// Zoomed in, it tells of the frame, too: the second Consecutive Frame, 113 ms.
	p.do(chromedp.Focus("#lanes"), chromedp.KeyEvent("nn"), chromedp.KeyEvent("n"), chromedp.KeyEvent(kb.Enter))
	p.awaitText("#status", "0.0979 s to 0.1452 s: 1 message, 9 frames")
	x, y = p.point(0.1-0.00215, 0.143+0.00215, 0.113, 0)
	p.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y))
	p.await(`document.querySelector("#tip").textContent.endsWith("\nframe 4: CF, 6 ms after the one before")`)
}

func TestKeysChooseMessages(t *testing.T) {
	p := open(t, report(t, 20))
	p.do(chromedp.Focus("#lanes"), chromedp.KeyEvent("n"))
	p.awaitText("#chosen", "7E0 to 7E8: 50 bytes at 0.0000 s; 9 frames in 43 ms")
	p.do(chromedp.KeyEvent("n"))
	p.awaitText("#chosen", "7E8 to 7E0: 4 bytes at 0.0600 s; 1 frame")
	p.do(chromedp.KeyEvent("p"))
	p.awaitText("#chosen", "7E0 to 7E8: 50 bytes at 0.0000 s")
	p.await(`document.querySelector("#table tbody tr[aria-selected=true] td").textContent == "0.000000"`)
	p.do(chromedp.KeyEvent(kb.Escape))
	p.await(`document.querySelector("#chosen").textContent == ""`)
}

func TestClickChoosesAMessage(t *testing.T) {
	p := open(t, report(t, 20))
	x, y := p.point(0, 1.96, 0.52, 0)
	p.do(chromedp.MouseClickXY(x, y))
	p.awaitText("#chosen", "7E0 to 7E8: 50 bytes at 0.5000 s")
}

func TestTableHasTheMessagesInView(t *testing.T) {
	p := open(t, report(t, 120))
	p.awaitText("#page", "1 of 3")
	rows := func() string {
		return p.eval(`[...document.querySelectorAll("#table tbody tr")].map((r) => [...r.cells].map((c) => c.textContent).join("|")).join("\n")`)
	}
	var want []string
	for i := range 50 {
		want = append(want,
			fmt.Sprintf("%.6f|7E0|7E8|50|9|43 ms|1163|0|5 ms|6 ms|6 ms|22 F1 90 03 04 05 06 07 ...", float64(i)/10),
			fmt.Sprintf("%.6f|7E8|7E0|4|1|||||||62 F1 90 01", float64(i)/10+0.06))
	}
	if got := rows(); got != strings.Join(want, "\n") {
		t.Errorf("the first page is\n%s", got)
	}
	p.do(chromedp.Click("#page-on"), chromedp.Click("#page-on"))
	p.awaitText("#page", "3 of 3")
	if got := rows(); strings.Count(got, "\n") != 39 || !strings.HasPrefix(got, "10.000000|") {
		t.Errorf("the last page is\n%s", got)
	}
}

func TestNothingIsAskedFor(t *testing.T) {
	p := open(t, report(t, 1))
	if got := p.eval(`performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:")).join(" ")`); got != "" {
		t.Errorf("it asks for %s", got)
	}
}

func TestDarkMode(t *testing.T) {
	p := open(t, report(t, 20))
	bright := p.eval(`getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement).getPropertyValue("--way0")`)
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	}); err != nil {
		t.Fatal(err)
	}
	p.await(`getComputedStyle(document.body).backgroundColor == "rgb(20, 23, 26)"`)
	if p.eval(`getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement).getPropertyValue("--way0")`) == bright {
		t.Error("the colours stay")
	}
}

func TestEverythingHasAName(t *testing.T) {
	p := open(t, report(t, 20))
	const nameless = `[...document.querySelectorAll("button, canvas, section, table, [tabindex]")].filter((e) =>
		!e.ariaHidden && !e.ariaLabel && !e.textContent.trim() && !e.getAttribute("aria-labelledby")).map((e) => e.outerHTML).join(" ")`
	if got := p.eval(nameless); got != "" {
		t.Errorf("without a name: %s", got)
	}
}

func TestAHundredThousandFrames(t *testing.T) {
	url := report(t, 10_000)
	begin := time.Now()
	p := open(t, url)
	t.Logf("open after %v, with the browser's start", time.Since(begin))
	p.awaitText("#status", "0.000 s to 999.960 s: 20000 messages, 100000 frames")
	p.do(chromedp.Focus("#lanes"), chromedp.KeyEvent("n"), chromedp.KeyEvent(kb.Enter))
	p.awaitText("#status", "0.0000 s to 0.0473 s: 1 message, 9 frames")
}
