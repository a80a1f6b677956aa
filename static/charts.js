// A board of charts with one cursor, one zoom and one set of tools. new Charts(root, lines) finds the [data-chart] boxes in root;
// lines(name) tells what a chart shows: [{series, key, label, colour, dash?, smooth?, points?, faint?}] of Curves.Series.
"use strict";

(() => {
  const { bytes, colour, compact, forgetColours, loss, number, seconds, share, smooth, usualRange } = window.Curves;
  const WHOLE = [...Array(10).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power)); // steps have no halves
  // How a chart's values are written; others as plain numbers.
  const WORDS = { loss, eval_loss: loss, memory: bytes, utilisation: share, accuracy: share, reward_accuracy: share };
  const LOGARITHMIC = ["loss", "eval_loss", "learning_rate", "grad_norm", "tokens_per_second"];
  const FROM_ZERO = ["memory", "utilisation"];

  const KEPT = "charts"; // where the browser keeps what was chosen for every board
  const TOOLS = { axis: ["step", "epoch", "time", "tokens"], log: [true, false], clip: [true, false] };

  // {axis, weight, log, clip} of the last visit, as far as they still mean something.
  function chosenBefore() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEPT)) ?? {};
      const known = Object.entries(TOOLS).filter(([name, values]) => values.includes(kept[name]));
      const weight = kept.weight >= 0 && kept.weight < 1 ? { weight: kept.weight } : {};
      return { ...Object.fromEntries(known.map(([name]) => [name, kept[name]])), ...weight };
    } catch {
      return {};
    }
  }

  class Charts {
    constructor(root, lines) {
      this.root = root;
      this.lines = lines;
      Object.assign(this, { axis: "step", weight: 0.6, log: false, clip: false }, chosenBefore());
      this.zoom = this.hovered = null;
      this.plots = [];
      this.boxes = [...root.querySelectorAll("[data-chart]")];
      this.showTools();
      this.listen();
    }

    // --- Data --------------------------------------------------------------------------------
    // A table for uPlot: x, then a column for each line; a smoothed line has its raw column before it.
    columns(lines, xs) {
      const tables = new Map();
      for (const { series, key, smooth: averaged } of lines) {
        if (!tables.has(series)) tables.set(series, [xs(series)]);
        const values = series.values[key] ?? new Array(series.length).fill(null);
        if (averaged) tables.get(series).push(values);
        tables.get(series).push(averaged ? smooth(values, this.weight) : values);
      }
      const all = [...tables.values()];
      return all.length === 1 ? all[0] : uPlot.join(all);
    }

    // Lines of the same series next to each other, as their columns are.
    grouped(name) {
      const order = new Map();
      const lines = this.lines(name);
      for (const { series } of lines) if (!order.has(series)) order.set(series, order.size);
      return lines.toSorted((a, b) => order.get(a.series) - order.get(b.series));
    }

    // --- Drawing -----------------------------------------------------------------------------
    later() {
      this.pending ??= setTimeout(() => {
        this.pending = null;
        this.draw();
      }, 200);
    }

    draw() {
      const memo = new Map();
      const xs = (series) => memo.get(series) ?? memo.set(series, series.xs(this.axis)).get(series);
      for (const box of this.boxes) {
        const lines = this.grouped(box.dataset.chart);
        if (lines.every(({ series, key }) => !series.values[key]?.some((value) => value !== null))) continue;
        let plot = this.plots.find((one) => one.name === box.dataset.chart);
        const data = this.positive(box.dataset.chart, this.columns(lines, xs));
        if (!plot) plot = this.build(box, lines, data);
        plot.usual = this.clip ? usualRange(data.slice(1)) : null;
        plot.setData(data, !this.zoom);
        if (this.zoom) plot.setScale("x", this.zoom);
      }
      this.readOut(this.hovered);
    }

    // A logarithmic axis has no place for zero and below.
    positive(name, data) {
      if (!this.log || !LOGARITHMIC.includes(name)) return data;
      return data.map((list, index) => (index ? list.map((value) => (value > 0 ? value : null)) : list));
    }

    rebuild() {
      forgetColours();
      for (const plot of this.plots) plot.destroy();
      this.plots = [];
      this.hovered = null;
      this.draw();
    }

    build(box, lines, data) {
      box.querySelector(".chart-wait")?.remove();
      const plot = new uPlot(this.options(box, lines), data, box);
      plot.name = box.dataset.chart;
      plot.lines = lines;
      this.plots.push(plot);
      return plot;
    }

    options(box, lines) {
      const name = box.dataset.chart;
      const large = box.classList.contains("chart-main");
      const log = this.log && LOGARITHMIC.includes(name);
      const words = name === "memory" ? bytes : WORDS[name] === share ? share : compact;
      const axis = (more) => ({
        stroke: () => colour("ink-3"),
        font: "12px ui-monospace, Menlo, Consolas, monospace",
        grid: { stroke: () => colour("line"), width: 1 },
        ticks: { show: false },
        ...more,
      });
      return {
        width: Math.max(200, box.clientWidth),
        height: large ? 320 : box.classList.contains("chart-middle") ? 220 : 150,
        padding: [10, 18, 0, 0],
        legend: { show: false },
        scales: { x: { time: false }, y: { distr: log ? 3 : 1, range: (plot, low, high) => this.range(plot, low, high, log, name) } },
        axes: [
          axis({ values: (_, ticks) => ticks.map((tick) => (this.axis === "time" ? seconds(tick) : compact(tick))), size: 32, space: 64, ...(this.axis === "step" && { incrs: WHOLE }) }),
          axis({ values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : words(tick))), size: 62, space: large ? 34 : 26 }),
        ],
        series: [{}, ...lines.flatMap((line) => this.strokes(line))],
        cursor: {
          sync: { key: this.root.id, setSeries: false, scales: ["x", null] },
          y: false,
          points: { size: 7 },
          drag: { x: true, y: false, setScale: false },
          bind: { dblclick: () => () => this.zoomTo(null) },
        },
        hooks: { setSelect: [(plot) => this.selected(plot)], setCursor: [(plot) => this.readOut(plot)] },
      };
    }

    range(plot, low, high, log, name) {
      if (low === null || high === null) return [log ? 0.1 : 0, 1];
      const [from, to] = plot.usual ?? [low, high];
      if (log) return uPlot.rangeLog(Math.max(from, low), to, 10, false);
      if (plot.usual) return [Math.max(from, low - 0.05 * (high - low)), Math.min(to, high + 0.05 * (high - low))];
      return FROM_ZERO.includes(name) ? [0, name === "utilisation" ? 1 : 1.1 * high] : uPlot.rangeNum(low, high, 0.1, true);
    }

    strokes({ colour: token, dash, smooth: averaged, points }) {
      const plain = { points: { show: false }, spanGaps: true };
      const line = { ...plain, stroke: () => colour(token), width: averaged ? 2 : 1.6, dash };
      const marks = { show: true, size: 6, stroke: () => colour(token), fill: () => colour("panel"), width: 2 };
      if (points) return [{ ...line, points: marks }];
      return averaged ? [{ ...plain, stroke: () => colour(token, 0.3), width: 1 }, line] : [line];
    }

    // --- Zoom and cursor ---------------------------------------------------------------------
    selected(plot) {
      const { left, width } = plot.select;
      if (width < 6) return;
      this.zoomTo({ min: plot.posToVal(left, "x"), max: plot.posToVal(left + width, "x") });
      plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    }

    zoomTo(range) {
      this.zoom = range;
      this.showReset();
      this.draw();
    }

    showReset() {
      const reset = this.root.querySelector("[data-chart-reset]");
      if (reset) reset.disabled = !this.zoom;
    }

    // The numbers beside each chart's title: under the cursor, else the newest.
    readOut(plot) {
      const hovered = plot && plot.cursor.idx !== null && plot.cursor.idx !== undefined && plot.cursor.left >= 0;
      this.hovered = hovered ? plot : null;
      const x = hovered ? plot.data[0][plot.cursor.idx] : null;
      for (const { name, lines } of this.plots) {
        const words = WORDS[name] ?? number;
        for (const line of lines) {
          const box = this.root.querySelector(`[data-read="${CSS.escape(name)}/${CSS.escape(line.id ?? line.key)}"]`);
          if (box) box.textContent = words(line.series.read(line.key, this.axis, x));
        }
      }
      this.onRead?.(x);
    }

    // --- Tools -------------------------------------------------------------------------------
    listen() {
      this.root.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (button?.dataset.axis) this.choose(() => ((this.axis = button.dataset.axis), (this.zoom = null)));
        else if (button?.dataset.scale) this.choose(() => (this.log = button.dataset.scale === "log"));
        else if (button?.hasAttribute("data-chart-reset")) this.zoomTo(null);
        else if (button?.dataset.png) this.save(button.dataset.png);
      });
      this.root.querySelector("[data-smoothing]")?.addEventListener("input", (event) => {
        this.weight = Number(event.target.value);
        this.keepTools();
        this.later();
      });
      this.root.querySelector("[data-clip]")?.addEventListener("change", (event) => {
        this.clip = event.target.checked;
        this.keepTools();
        this.draw();
      });
      new ResizeObserver(() => {
        for (const plot of this.plots) {
          const width = Math.max(200, plot.root.parentElement.clientWidth);
          if (width !== plot.width) plot.setSize({ width, height: plot.height });
        }
      }).observe(this.root);
      document.addEventListener("theme", () => this.repaint());
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
    }

    choose(change) {
      change();
      this.keepTools();
      this.showTools();
      this.showReset();
      this.rebuild();
    }

    showTools() {
      const press = (group, chosen) => {
        for (const button of this.root.querySelectorAll(`[data-${group}]`)) {
          button.setAttribute("aria-pressed", String(button.dataset[group] === chosen));
        }
      };
      press("axis", this.axis);
      press("scale", this.log ? "log" : "linear");
      const [smoothing, clip] = ["[data-smoothing]", "[data-clip]"].map((name) => this.root.querySelector(name));
      if (smoothing) smoothing.value = this.weight;
      if (clip) clip.checked = this.clip;
    }

    // For the next visit, in this browser. Without storage they last until then.
    keepTools() {
      try {
        localStorage.setItem(KEPT, JSON.stringify({ axis: this.axis, weight: this.weight, log: this.log, clip: this.clip }));
      } catch {
        // As said.
      }
    }

    repaint() {
      forgetColours();
      for (const plot of this.plots) plot.redraw(false);
    }

    // --- Image -------------------------------------------------------------------------------
    // The chart as it is seen, with its title and a key, as a PNG file.
    save(name) {
      const plot = this.plots.find((one) => one.name === name);
      if (!plot) return;
      const source = plot.ctx.canvas;
      const scale = source.width / plot.width;
      const head = 56 * scale;
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [source.width, source.height + head];
      const pen = canvas.getContext("2d");
      pen.fillStyle = colour("panel");
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.drawImage(source, 0, head);
      this.caption(pen, plot, scale);
      canvas.toBlob((blob) => {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(blob);
        link.download = `${document.title.split(" · ").at(-2) ?? "chart"} ${name}.png`.replaceAll("/", "-");
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      });
    }

    caption(pen, plot, scale) {
      pen.fillStyle = colour("ink");
      pen.font = `600 ${15 * scale}px sans-serif`;
      pen.fillText(plot.root.parentElement.dataset.title ?? plot.name, 14 * scale, 24 * scale);
      pen.font = `${12 * scale}px sans-serif`;
      let left = 14 * scale;
      for (const { label, colour: token } of plot.lines) {
        pen.fillStyle = colour(token);
        pen.fillRect(left, 39 * scale, 12 * scale, 3 * scale);
        pen.fillStyle = colour("ink-2");
        pen.fillText(label, left + 18 * scale, 44 * scale);
        left += pen.measureText(label).width + 36 * scale;
      }
    }
  }

  window.Charts = Charts;
})();
