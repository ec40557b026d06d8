"use strict";
// The report's script: it reads the data, and draws what is in view. Times are in seconds from
// the report's begin.
(() => {
	const $ = (id) => document.getElementById(id);
	const data = JSON.parse($("data").textContent);
	if (!data.lanes.length) return;

	// ---- the data: columns, each an array of one number for each message or frame ----

	function column(text, Type) {
		const s = atob(text), bytes = new Uint8Array(s.length);
		for (let i = 0; i < s.length; i++) bytes[i] = s.charCodeAt(i);
		return new Type(bytes.buffer);
	}
	const m = data.messages, f = data.frames;
	const lane = column(m.lane, Uint32Array), way = column(m.way, Uint8Array);
	const begin = column(m.begin, Float64Array), end = column(m.end, Float64Array);
	const size = column(m.size, Uint32Array), got = column(m.got, Uint32Array);
	const frameCount = column(m.frames, Uint32Array);
	const why = column(m.why, Uint32Array), what = column(m.what, Uint32Array);
	const at = column(f.at, Uint32Array), kind = column(f.kind, Uint8Array); // microseconds after the message's begin
	const controls = column(f.controls, Uint8Array); // BS and STmin of each flow control
	const messages = begin.length;

	const SF = 0, FF = 1, CF = 2, CTS = 3, WAIT = 4, OVFLW = 5;
	const kindNames = ["SF", "FF", "CF", "CTS", "WAIT", "OVFLW"];

	// Where a message's frames and flow controls begin in their columns.
	const firstFrame = new Uint32Array(messages + 1), firstControl = new Uint32Array(messages + 1);
	for (let i = 0, c = 0; i < messages; i++) {
		firstControl[i] = c;
		const to = firstFrame[i] + frameCount[i];
		firstFrame[i + 1] = to;
		for (let k = firstFrame[i]; k < to; k++) if (kind[k] >= CTS) c++;
		firstControl[i + 1] = c;
	}

	// The messages of each lane and direction, in the order of their begin, and the latest end
	// of each and those before it: by it a binary search finds the first that is in view.
	const tracks = data.lanes.map(() => [[], []]);
	for (let i = 0; i < messages; i++) tracks[lane[i]][way[i]].push(i);
	for (const pair of tracks) for (const track of pair) {
		let latest = -Infinity;
		track.ends = new Float64Array(track.length);
		track.forEach((i, n) => { track.ends[n] = latest = Math.max(latest, end[i]); });
	}
	// search returns the first index in sorted values that is at least that value.
	function search(length, valueAt, value) {
		let low = 0, high = length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (valueAt(middle) < value) low = middle + 1; else high = middle;
		}
		return low;
	}
	// eachIn calls visit for each message of a track in a range of time.
	function eachIn(track, from, to, visit) {
		for (let n = search(track.length, (k) => track.ends[k], from); n < track.length && begin[track[n]] <= to; n++) {
			if (end[track[n]] >= from) visit(track[n]);
		}
	}

	const last = Math.max(...tracks.flat().map((t) => t.length ? t.ends[t.length - 1] : 0), 1e-6);
	const view = { from: 0, to: last };
	let chosen = -1, chosenLane = 0, page = 0;

	// ---- text ----

	function timeText(s) {
		const a = Math.abs(s);
		if (a < 0.5e-9) return "0";
		if (a < 0.9995e-3) return +(s * 1e6).toPrecision(3) + " µs";
		if (a < 0.9995) return +(s * 1e3).toPrecision(4) + " ms";
		return a < 999.95 ? +s.toPrecision(4) + " s" : Math.round(s) + " s";
	}
	function rateText(bytesPerSecond) {
		const n = bytesPerSecond;
		return n < 999.5 ? Math.round(n) + " B/s" : n < 999500 ? +(n / 1e3).toPrecision(3) + " kB/s" : +(n / 1e6).toPrecision(3) + " MB/s";
	}
	const clock = (s) => s.toFixed(view.to - view.from < 0.01 ? 6 : view.to - view.from < 10 ? 4 : 3);
	const plural = (n, one) => n + " " + one + (n === 1 ? "" : "s");
	// stmin returns the seconds that an STmin asks for. Reserved values ask for 127 ms.
	const stmin = (b) => b <= 0x7F ? b / 1e3 : b >= 0xF1 && b <= 0xF9 ? (b - 0xF0) / 1e4 : 0.127;
	const sender = (i) => data.lanes[lane[i]].sides[way[i]];
	const receiver = (i) => data.lanes[lane[i]].sides[1 - way[i]] || "all";

	// control returns what the last flow control of a message has asked for, or null.
	function control(i) {
		const c = firstControl[i + 1] - 1;
		return c < firstControl[i] ? null : { bs: controls[2 * c], stmin: stmin(controls[2 * c + 1]) };
	}
	// eachGap calls visit with each time between two Consecutive Frames of a message that have
	// no flow control between them, and with the STmin that is asked for then.
	function eachGap(i, visit) {
		let before = -1, asked = 0, c = firstControl[i];
		for (let k = firstFrame[i]; k < firstFrame[i + 1]; k++) {
			if (kind[k] === CF) {
				if (before >= 0) visit((at[k] - before) / 1e6, asked);
				before = at[k];
			} else if (kind[k] >= CTS) {
				if (kind[k] === CTS) asked = stmin(controls[2 * c + 1]);
				c++;
				before = -1;
			}
		}
	}
	function messageText(i) {
		const c = control(i), text = [
			`${sender(i)} to ${receiver(i)}: ${plural(size[i], "byte")} at ${clock(begin[i])} s`,
			`${plural(frameCount[i], "frame")} in ${timeText(end[i] - begin[i])}` + (c ? `, BS ${c.bs}, STmin ${timeText(c.stmin)}` : ""),
		];
		if (data.texts[what[i]]) text.push(data.texts[what[i]]);
		if (why[i]) text.push(`given up after ${plural(got[i], "byte")}: ${data.texts[why[i]]}`);
		return text.join("\n");
	}

	// ---- drawing ----

	const laneHeight = 64, gutter = 130, trackHeight = 20, trackTops = [10, 34];
	let colours, width;
	const canvases = {};
	for (const id of ["axis", "lanes", "rate", "gaps"]) canvases[id] = { element: $(id), pen: $(id).getContext("2d") };

	function resize(id, height) {
		const c = canvases[id].element, scale = devicePixelRatio || 1;
		const w = Math.round(width * scale), h = Math.round(height * scale);
		if (c.width !== w || c.height !== h) {
			c.width = w;
			c.height = h;
			c.style.height = height + "px";
		}
		const pen = canvases[id].pen;
		pen.setTransform(scale, 0, 0, scale, 0, 0);
		pen.clearRect(0, 0, width, height);
		pen.font = "12px system-ui, sans-serif";
		pen.textBaseline = "middle";
		return pen;
	}
	const x = (t) => gutter + (t - view.from) / (view.to - view.from) * (width - gutter - 10);
	const timeAt = (px) => view.from + (px - gutter) / (width - gutter - 10) * (view.to - view.from);

	// ticks returns round numbers in a range, about so many.
	function ticks(from, to, about) {
		const raw = (to - from) / Math.max(about, 1), power = 10 ** Math.floor(Math.log10(raw));
		const step = power * ([1, 2, 5].find((n) => n * power >= raw) || 10), list = [];
		for (let n = Math.ceil(from / step); n * step <= to; n++) list.push(n * step);
		return { list, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
	}

	function drawAxis() {
		const pen = resize("axis", 26);
		const { list, digits } = ticks(view.from, view.to, (width - gutter) / 110);
		pen.textAlign = "center";
		pen.fillStyle = colours.muted;
		for (const t of list) pen.fillText(t.toFixed(digits) + " s", Math.min(x(t), width - 30), 14);
		return list;
	}

	function drawLanes(lines) {
		const scroll = $("scroll"), total = data.lanes.length * laneHeight;
		$("spacer").style.height = total + "px";
		const height = Math.min(total, Math.max(scroll.clientHeight, laneHeight));
		const pen = resize("lanes", height), top = scroll.scrollTop;
		const firstLane = Math.floor(top / laneHeight);
		for (let l = firstLane; l < data.lanes.length && l * laneHeight - top < height; l++) {
			const y = l * laneHeight - top;
			pen.fillStyle = colours.grid;
			for (const t of lines) pen.fillRect(Math.round(x(t)), y, 1, laneHeight);
			pen.fillRect(0, y + laneHeight - 1, width, 1);
			pen.save();
			pen.beginPath();
			pen.rect(gutter, y, width - gutter, laneHeight);
			pen.clip();
			for (const w of [0, 1]) drawTrack(pen, tracks[l][w], y, w);
			pen.restore();
			drawLabel(pen, l, y);
		}
	}
	function drawLabel(pen, l, y) {
		pen.textAlign = "left";
		pen.font = l === chosenLane ? "600 12px system-ui, sans-serif" : "12px system-ui, sans-serif";
		for (const w of [0, 1]) {
			const name = data.lanes[l].sides[w];
			if (!name) continue;
			pen.fillStyle = [colours.way0, colours.way1][w];
			pen.fillRect(10, y + trackTops[w] + 5, 3, trackHeight - 10);
			pen.fillStyle = l === chosenLane ? colours.fg : colours.muted;
			pen.fillText(name, 18, y + trackTops[w] + trackHeight / 2 + 1, gutter - 26);
		}
		pen.font = "12px system-ui, sans-serif";
	}
	function drawTrack(pen, track, y, w) {
		let drawn = -1; // messages closer together than a pixel are drawn once
		eachIn(track, view.from, view.to, (i) => {
			const left = Math.max(x(begin[i]), gutter - 2), right = Math.min(x(end[i]), width + 2);
			if (right < drawn && !why[i] && i !== chosen) return;
			drawn = Math.floor(Math.max(right, left + 1)) + 0.5;
			drawMessage(pen, i, left, right, y, w);
		});
	}
	function drawMessage(pen, i, left, right, y, w) {
		const top = y + trackTops[w], perFrame = (x(end[i]) - x(begin[i])) / frameCount[i];
		pen.fillStyle = why[i] ? colours.bad : w ? colours.way1 : colours.way0;
		if (perFrame < 3 || frameCount[i] === 1) {
			pen.fillRect(left, top, Math.max(right - left, 2), trackHeight);
		} else {
			pen.globalAlpha = 0.16;
			pen.fillRect(left, top, right - left, trackHeight);
			pen.globalAlpha = 1;
			drawFrames(pen, i, y, w, perFrame);
		}
		if (i === chosen) {
			pen.strokeStyle = colours.chosen;
			pen.lineWidth = 2;
			pen.strokeRect(left - 2, top - 2, Math.max(right - left, 2) + 4, trackHeight + 4);
		}
	}
	function drawFrames(pen, i, y, w, perFrame) {
		const colour = pen.fillStyle, own = y + trackTops[w], other = y + trackTops[1 - w];
		const first = firstFrame[i], count = frameCount[i];
		const seen = (t) => (t - begin[i]) * 1e6;
		let k = first + search(count, (n) => at[first + n], seen(view.from) - 1);
		const sequence = perFrame > 36 ? countCF(i, k) : 0;
		pen.textAlign = "left";
		let sn = sequence, c = perFrame > 8 ? firstControl[i] + countControls(i, k) : 0;
		for (const to = seen(view.to) + 1; k < first + count && at[k] <= to; k++) {
			const px = x(begin[i] + at[k] / 1e6), control = kind[k] >= CTS;
			pen.fillStyle = control ? kind[k] === CTS ? colours.control : colours.bad : colour;
			pen.fillRect(px - 1, control ? other : own, 2, trackHeight);
			if (control) {
				pen.fillRect(px - 0.5, Math.min(own, other) + trackHeight, 1, Math.abs(own - other) - trackHeight);
				if (perFrame > 8) {
					const asks = perFrame > 40 && kind[k] === CTS ? ` BS ${controls[2 * c]}, ${timeText(stmin(controls[2 * c + 1]))}` : "";
					pen.fillText(kindNames[kind[k]] + asks, px + 4, other + trackHeight / 2 + 1);
				}
				c++;
			} else if (perFrame > 36) {
				if (kind[k] === CF) sn++;
				pen.fillText(kind[k] === CF ? "CF " + (sn & 15).toString(16).toUpperCase() : kindNames[kind[k]], px + 4, own + trackHeight / 2 + 1);
			}
		}
	}
	function countCF(i, to) {
		let n = 0;
		for (let k = firstFrame[i]; k < to; k++) if (kind[k] === CF) n++;
		return n;
	}
	function countControls(i, to) {
		let n = 0;
		for (let k = firstFrame[i]; k < to; k++) if (kind[k] >= CTS) n++;
		return n;
	}

	// Throughput: the bytes of each message are spread evenly over its time.
	function drawRate(lines) {
		const height = 96, base = height - 8, pen = resize("rate", height);
		const columns = Math.max(Math.floor((width - gutter - 10) / 3), 1), step = (view.to - view.from) / columns;
		const bytes = new Float64Array(columns);
		let inView = 0;
		for (const pair of tracks) for (const track of pair) eachIn(track, view.from, view.to, (i) => {
			const span = Math.max(end[i] - begin[i], 1e-9);
			const a = Math.max((begin[i] - view.from) / step, 0), b = Math.min((begin[i] + span - view.from) / step, columns);
			const perColumn = got[i] * step / span;
			for (let k = Math.floor(a); k < b && k < columns; k++) {
				const part = (Math.min(b, k + 1) - Math.max(a, k)) * perColumn;
				bytes[k] += part;
				inView += part;
			}
		});
		const most = bytes.reduce((a, b) => Math.max(a, b), 0) / step;
		pen.fillStyle = colours.grid;
		for (const t of lines) pen.fillRect(Math.round(x(t)), 0, 1, base);
		pen.fillStyle = colours.way0;
		for (let k = 0; k < columns; k++) {
			const h = most ? bytes[k] / step / most * (base - 14) : 0;
			if (h) pen.fillRect(gutter + k * 3, base - Math.max(h, 1), 3, Math.max(h, 1));
		}
		pen.fillStyle = colours.line;
		pen.fillRect(gutter, base, width - gutter - 10, 1);
		pen.textAlign = "left";
		pen.fillStyle = colours.muted;
		pen.fillText("Throughput", 10, 18);
		pen.fillText(rateText(most), 10, 34);
		$("rate-text").textContent = `Throughput in view: ${rateText(inView / (view.to - view.from))} on average, at most ${rateText(most)} in ${timeText(step)}.`;
	}

	// Gaps in view: a histogram, those shorter than their STmin in red.
	function drawGaps() {
		const height = 150, base = height - 26, pen = resize("gaps", height);
		const gaps = [], early = [], asked = new Set();
		for (const pair of tracks) for (const track of pair) eachIn(track, view.from, view.to, (i) => {
			if (frameCount[i] > 2) eachGap(i, (gap, least) => {
				gaps.push(gap);
				early.push(gap < least - 1.5e-6); // stamps have whole microseconds
				if (least) asked.add(least);
			});
		});
		if (!gaps.length) {
			pen.fillStyle = colours.muted;
			pen.textAlign = "center";
			pen.fillText("No Consecutive Frames in view", width / 2, height / 2);
			$("gaps-text").textContent = "No two Consecutive Frames follow each other in view.";
			return;
		}
		const sorted = Float64Array.from(gaps).sort(), quantile = (q) => sorted[Math.max(Math.ceil(q * sorted.length) - 1, 0)];
		const stmins = [...asked].sort((a, b) => a - b);
		const top = Math.max(quantile(0.995) * 1.1, (stmins.at(-1) || 0) * 1.25, 1e-5);
		const left = 60, room = width - left - 16, columns = Math.max(Math.floor(room / 7), 1);
		const all = new Uint32Array(columns + 1), soon = new Uint32Array(columns + 1);
		gaps.forEach((gap, n) => {
			const k = Math.min(Math.floor(gap / top * columns), columns);
			all[k]++;
			if (early[n]) soon[k]++;
		});
		const most = all.reduce((a, b) => Math.max(a, b)), px = (gap) => left + gap / top * room;
		for (let k = 0; k <= columns; k++) {
			const bar = (n, colour, under) => {
				const h = n ? Math.max(n / most * (base - 20), 1.5) : 0;
				pen.fillStyle = colour;
				pen.fillRect(k === columns ? width - 12 : left + k * room / columns, base - h, k === columns ? 8 : room / columns - 1, h);
			};
			bar(all[k], k === columns ? colours.muted : colours.way0);
			bar(soon[k], colours.bad);
		}
		pen.fillStyle = colours.line;
		pen.fillRect(left, base, room, 1);
		pen.fillStyle = colours.muted;
		pen.textAlign = "center";
		for (const t of ticks(0, top, room / 100).list) pen.fillText(timeText(t), px(t), base + 14);
		pen.textAlign = "right";
		pen.fillText(most, left - 6, 22);
		pen.textAlign = "left";
		pen.fillStyle = pen.strokeStyle = colours.control;
		pen.lineWidth = 1.5;
		pen.setLineDash([4, 3]);
		stmins.slice(0, 6).forEach((t, n) => {
			pen.beginPath();
			pen.moveTo(px(t), 4);
			pen.lineTo(px(t), base);
			pen.stroke();
			const fits = px(t) < width - 90;
			pen.textAlign = fits ? "left" : "right";
			pen.fillText("STmin " + timeText(t), px(t) + (fits ? 4 : -4), 10 + 13 * (n % 3));
		});
		pen.setLineDash([]);
		const soonAll = early.filter(Boolean).length;
		$("gaps-text").textContent = `${plural(gaps.length, "gap")}: least ${timeText(sorted[0])}, median ${timeText(quantile(0.5))}, ` +
			`99 % within ${timeText(quantile(0.99))}, greatest ${timeText(sorted.at(-1))}. ` +
			(stmins.length ? `STmin asked for: ${stmins.map(timeText).join(", ")}; ${soonAll ? soonAll + " came earlier" : "none came earlier"}.` : "No STmin asked for.");
	}

	// ---- the table ----

	const pageSize = 100;
	let inView = [];
	function collect() {
		inView = [];
		for (const pair of tracks) for (const track of pair) eachIn(track, view.from, view.to, (i) => inView.push(i));
		inView.sort((a, b) => a - b); // messages are in the order of their begin
		page = 0;
	}
	function cells(i) {
		let least = Infinity, most = 0;
		eachGap(i, (gap) => { least = Math.min(least, gap); most = Math.max(most, gap); });
		const c = control(i), span = end[i] - begin[i];
		return [
			begin[i].toFixed(6), sender(i), receiver(i), why[i] ? `${got[i]} of ${size[i]}` : size[i], frameCount[i],
			frameCount[i] > 1 ? timeText(span) : "", span > 0 ? Math.round(got[i] / span) : "", c ? c.bs : "", c ? timeText(c.stmin) : "",
			most ? timeText(least) : "", most ? timeText(most) : "", why[i] ? data.texts[why[i]] : data.texts[what[i]],
		];
	}
	function drawTable() {
		const pages = Math.max(Math.ceil(inView.length / pageSize), 1), body = $("table").tBodies[0];
		$("page").textContent = `${page + 1} of ${pages}`;
		$("page-back").disabled = page === 0;
		$("page-on").disabled = page === pages - 1;
		body.replaceChildren(...inView.slice(page * pageSize, (page + 1) * pageSize).map((i) => {
			const row = document.createElement("tr");
			row.ariaSelected = i === chosen;
			row.onclick = () => choose(i, true);
			cells(i).forEach((text, n) => {
				const cell = row.insertCell();
				if (n === 0) {
					const button = document.createElement("button");
					button.type = "button";
					button.textContent = text;
					button.ariaLabel = `Choose the message at ${text} s`;
					cell.append(button);
				} else {
					cell.textContent = text;
				}
				if (n === 11) cell.className = why[i] ? "text early" : "text";
			});
			return row;
		}));
	}

	// ---- what is in view ----

	let drawing = 0, settling = 0;
	function readColours() {
		const style = getComputedStyle(document.documentElement);
		colours = {};
		for (const name of ["fg", "muted", "line", "grid", "way0", "way1", "control", "bad", "chosen"]) colours[name] = style.getPropertyValue("--" + name).trim();
	}
	function draw() {
		drawing = 0;
		width = $("scroll").clientWidth;
		const lines = drawAxis();
		drawLanes(lines);
		drawRate(lines);
	}
	// changed draws soon, and once it stays so also what takes longer.
	function changed() {
		drawing ||= requestAnimationFrame(draw);
		clearTimeout(settling);
		settling = setTimeout(settle, 120);
	}
	function settle() {
		if (drawing) {
			cancelAnimationFrame(drawing);
			draw();
		}
		collect();
		drawGaps();
		drawTable();
		const frames = inView.reduce((n, i) => n + frameCount[i], 0);
		$("status").textContent = `${clock(view.from)} s to ${clock(view.to)} s: ${plural(inView.length, "message")}, ${plural(frames, "frame")}`;
	}
	function show(from, to) {
		const least = 20e-6, span = Math.min(Math.max(to - from, least), last);
		from = Math.min(Math.max(from, 0), last - span);
		if (last < least) [view.from, view.to] = [0, least];
		else [view.from, view.to] = [from, from + span];
		changed();
	}
	function zoom(factor, around = (view.from + view.to) / 2) {
		show(around - (around - view.from) * factor, around + (view.to - around) * factor);
	}
	const move = (part) => show(view.from + part * (view.to - view.from), view.to + part * (view.to - view.from));

	function choose(i, bring) {
		chosen = i;
		$("chosen").textContent = i < 0 ? "" : messageText(i).replaceAll("\n", "; ");
		if (i >= 0) {
			chosenLane = lane[i];
			keepInSight(lane[i]);
			if (bring && (begin[i] < view.from || end[i] > view.to)) {
				const span = Math.max(view.to - view.from, 2 * (end[i] - begin[i]));
				show((begin[i] + end[i]) / 2 - span / 2, (begin[i] + end[i]) / 2 + span / 2);
			}
		}
		drawing ||= requestAnimationFrame(draw);
		for (const row of $("table").tBodies[0].rows) row.ariaSelected = false;
		const row = $("table").tBodies[0].rows[inView.indexOf(i) - page * pageSize];
		if (i >= 0 && row) row.ariaSelected = true;
	}
	function keepInSight(l) {
		const s = $("scroll");
		if (l * laneHeight < s.scrollTop) s.scrollTop = l * laneHeight;
		else if ((l + 1) * laneHeight > s.scrollTop + s.clientHeight) s.scrollTop = (l + 1) * laneHeight - s.clientHeight;
	}
	// step chooses the next or previous message of the lane: from the one chosen, or in view.
	function step(by) {
		const list = [...tracks[chosenLane][0], ...tracks[chosenLane][1]].sort((a, b) => a - b);
		let n = list.indexOf(chosen) + by;
		if (chosen < 0 || lane[chosen] !== chosenLane) n = by > 0 ? list.findIndex((i) => end[i] >= view.from) : list.findLastIndex((i) => begin[i] <= view.to);
		if (n >= 0 && n < list.length) choose(list[n], true);
	}
	function chooseLane(l) {
		chosenLane = Math.min(Math.max(l, 0), data.lanes.length - 1);
		keepInSight(chosenLane);
		const [a, b] = data.lanes[chosenLane].sides;
		$("chosen").textContent = `Lane ${a}` + (b ? ` and ${b}` : "");
		chosen = -1;
		changed();
	}
	function zoomToChosen() {
		if (chosen < 0) return;
		const margin = Math.max((end[chosen] - begin[chosen]) * 0.05, 20e-6);
		show(begin[chosen] - margin, end[chosen] + margin);
	}

	// ---- keys and mouse ----

	const keys = {
		ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), PageUp: () => move(-1), PageDown: () => move(1),
		Home: () => show(0, view.to - view.from), End: () => show(last - (view.to - view.from), last),
		"+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => show(0, last),
		ArrowUp: () => chooseLane(chosenLane - 1), ArrowDown: () => chooseLane(chosenLane + 1),
		n: () => step(1), p: () => step(-1), Enter: zoomToChosen, Escape: () => choose(-1),
	};
	const lanes = $("lanes");
	lanes.addEventListener("keydown", (e) => {
		const act = keys[e.key.length === 1 ? e.key.toLowerCase() : e.key];
		if (!act || e.ctrlKey || e.metaKey || e.altKey) return;
		e.preventDefault();
		act();
	});
	$("zoom-in").onclick = keys["+"];
	$("zoom-out").onclick = keys["-"];
	$("fit").onclick = keys[0];
	$("page-back").onclick = () => { page--; drawTable(); };
	$("page-on").onclick = () => { page++; drawTable(); };

	// messageAt returns the message at a point of the lanes, -1 if there is none: the nearest
	// within 4 pixels.
	function messageAt(px, py) {
		const y = py + $("scroll").scrollTop, l = Math.floor(y / laneHeight), within = y - l * laneHeight;
		if (l < 0 || l >= data.lanes.length || px < gutter) return -1;
		let found = -1, nearest = 5;
		const w = within < (trackTops[0] + trackTops[1] + trackHeight) / 2 ? 0 : 1, margin = timeAt(px + 4) - timeAt(px);
		eachIn(tracks[l][w], timeAt(px) - margin, timeAt(px) + margin, (i) => {
			const distance = Math.max(x(begin[i]) - px, px - x(end[i]), 0);
			if (distance < nearest) [found, nearest] = [i, distance];
		});
		return found;
	}
	function tell(e) {
		const i = messageAt(e.offsetX, e.offsetY), tip = $("tip");
		tip.hidden = i < 0;
		if (i < 0) return;
		tip.textContent = messageText(i) + frameText(i, e.offsetX);
		const box = tip.parentElement.getBoundingClientRect();
		const left = Math.min(e.clientX - box.left + 14, box.width - tip.offsetWidth - 8);
		const top = e.clientY - box.top + 18;
		tip.style.left = Math.max(left, 4) + "px";
		tip.style.top = (top + tip.offsetHeight > box.height ? Math.max(top - tip.offsetHeight - 30, 2) : top) + "px";
	}
	// frameText tells of the frame nearest to a point, where frames are drawn.
	function frameText(i, px) {
		const first = firstFrame[i], count = frameCount[i];
		if (count < 2 || (x(end[i]) - x(begin[i])) / count < 3) return "";
		const t = (timeAt(px) - begin[i]) * 1e6;
		let n = Math.min(search(count, (k) => at[first + k], t), count - 1);
		if (n > 0 && t - at[first + n - 1] < at[first + n] - t) n--;
		const after = n > 0 ? `, ${timeText((at[first + n] - at[first + n - 1]) / 1e6)} after the one before` : "";
		return `\nframe ${n + 1}: ${kindNames[kind[first + n]]}${after}`;
	}
	let dragged = null;
	lanes.addEventListener("pointerdown", (e) => {
		if (e.button) return;
		dragged = { x: e.clientX, from: view.from, to: view.to, far: false };
		lanes.setPointerCapture(e.pointerId);
	});
	lanes.addEventListener("pointermove", (e) => {
		if (!dragged) return tell(e);
		$("tip").hidden = true;
		const pixels = e.clientX - dragged.x, by = -pixels / (width - gutter - 10) * (dragged.to - dragged.from);
		dragged.far ||= Math.abs(pixels) > 3;
		if (dragged.far) show(dragged.from + by, dragged.to + by);
	});
	lanes.addEventListener("pointerup", (e) => {
		if (dragged && !dragged.far) {
			chosenLane = Math.min(Math.floor((e.offsetY + $("scroll").scrollTop) / laneHeight), data.lanes.length - 1);
			choose(messageAt(e.offsetX, e.offsetY));
		}
		dragged = null;
	});
	lanes.addEventListener("pointercancel", () => { dragged = null; });
	lanes.addEventListener("pointerleave", () => { $("tip").hidden = true; });
	lanes.addEventListener("dblclick", (e) => zoom(0.25, timeAt(e.offsetX)));
	lanes.addEventListener("wheel", (e) => {
		if (e.ctrlKey || e.metaKey) zoom(Math.exp(e.deltaY * 0.01), timeAt(e.offsetX));
		else if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) move(e.deltaX / width);
		else return; // scrolls
		e.preventDefault();
	}, { passive: false });
	$("scroll").addEventListener("scroll", () => { drawing ||= requestAnimationFrame(draw); });

	new ResizeObserver(changed).observe($("scroll"));
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); changed(); });
	readColours();
	width = $("scroll").clientWidth;
	show(0, last);
	draw();
	settle();
})();
