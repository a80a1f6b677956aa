// The curves of a job page: train loss (raw and smoothed), eval loss, learning rate, gradient norm, tokens per second.
// new LossCharts(root) finds [data-chart] boxes and the chart tools in root; add(points) takes the API's metric points.
"use strict";

(() => {
  const MOST_POINTS = 20000; // beyond it every second point is dropped; the eye can't tell
  const SMALL = { learning_rate: "learning rate", grad_norm: "gradient norm", tokens_per_second: "tokens per second" };
  const WHOLE = [...Array(10).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power)); // steps have no halves
  const KEYS = ["loss", ...Object.keys(SMALL)];

  // A token of app.css as a colour the canvas understands (light-dark() is resolved by a probe element).
  const probe = document.createElement("span");
  probe.hidden = true;
  document.documentElement.append(probe);
  let cache = {};
  function colour(token, alpha = 1) {
    if (!cache[token]) {
      probe.style.color = `var(--${token})`;
      cache[token] = getComputedStyle(probe).color;
    }
    return alpha === 1 ? cache[token] : cache[token].replace(/rgba?\(([^)/]+)\)/, (_, rgb) => `rgba(${rgb}, ${alpha})`);
  }

  function seconds(value) {
    const whole = Math.max(0, Math.round(value));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
    return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  }

  function number(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size !== 0 && size < 0.001) return value.toExponential(2).replace(/\.?0+e/, "e");
    if (size >= 10000) return Math.round(value).toLocaleString("en");
    return size >= 100 ? value.toFixed(0) : Number(value.toPrecision(4)).toString();
  }

  // Losses keep four decimals, so that the digits of a moving number stay in their places.
  const loss = (value) => (Number.isFinite(value) && Math.abs(value) < 1000 ? value.toFixed(4) : number(value));

  // Exponential moving average, without the pull of its empty start (Adam's bias correction).
  function smooth(values, weight) {
    let sum = 0;
    let mass = 0;
    return values.map((value) => {
      if (value === null || value === undefined) return null;
      sum = weight * sum + (1 - weight) * value;
      mass = weight * mass + (1 - weight);
      return sum / mass;
    });
  }

  const empty = () => ({ step: [], epoch: [], time: [], values: Object.fromEntries([...KEYS, "eval_loss"].map((key) => [key, []])) });

  class LossCharts {
    constructor(root) {
      this.root = root;
      this.train = empty();
      this.eval = empty();
      this.start = null;
      this.axis = "step";
      this.log = false;
      this.weight = 0.6;
      this.zoom = null;
      this.hovered = null;
      this.plots = [];
      this.boxes = [...root.querySelectorAll("[data-chart]")];
      this.listen();
    }

    // --- Data --------------------------------------------------------------------------------
    add(points) {
      for (const point of points) this.keep(point);
      while (this.train.step.length > MOST_POINTS) this.halve();
      if (points.length) this.later();
    }

    keep(point) {
      const series = point.split === "eval" ? this.eval : this.train;
      if (typeof point.step !== "number") return;
      if (point.step === series.step.at(-1)) return this.amend(series, point);
      // A run that resumed repeats steps: the newer attempt replaces what it repeats.
      if (point.step < series.step.at(-1)) this.rewind(series, point.step);
      const time = typeof point.time === "number" ? point.time : Date.parse(point.time) / 1000;
      this.start = this.start === null ? time : Math.min(this.start, time);
      series.step.push(point.step);
      series.epoch.push(point.epoch ?? null);
      series.time.push(time);
      for (const key of Object.keys(series.values)) series.values[key].push(point.values?.[key] ?? null);
    }

    // A second report of the same step adds to it or replaces it.
    amend(series, point) {
      for (const [key, list] of Object.entries(series.values)) list[list.length - 1] = point.values?.[key] ?? list.at(-1);
    }

    rewind(series, step) {
      let length = series.step.length;
      while (length && series.step[length - 1] >= step) length -= 1;
      for (const list of [series.step, series.epoch, series.time, ...Object.values(series.values)]) list.length = length;
    }

    halve() {
      const series = this.train;
      const last = series.step.length - 1;
      const thin = (list) => list.filter((_, index) => index % 2 === 0 || index === last);
      for (const key of ["step", "epoch", "time"]) series[key] = thin(series[key]);
      for (const key of Object.keys(series.values)) series.values[key] = thin(series.values[key]);
    }

    x(series, index) {
      if (this.axis === "time") return series.time[index] - this.start;
      return this.axis === "epoch" ? (series.epoch[index] ?? series.step[index]) : series.step[index];
    }

    // Train and eval points on one x axis, in order of their step.
    merged() {
      const { train, eval: evals } = this;
      const averaged = smooth(train.values.loss, this.weight);
      const columns = [[], [], [], []];
      let i = 0;
      let j = 0;
      while (i < train.step.length || j < evals.step.length) {
        const fromTrain = i < train.step.length && (j >= evals.step.length || train.step[i] <= evals.step[j]);
        const both = fromTrain && train.step[i] === evals.step[j] && this.axis === "step";
        const previous = columns[0].at(-1) ?? -Infinity;
        columns[0].push(Math.max(previous, fromTrain ? this.x(train, i) : this.x(evals, j)));
        columns[1].push(fromTrain ? train.values.loss[i] : null);
        columns[2].push(fromTrain ? averaged[i] : null);
        columns[3].push(fromTrain && !both ? null : evals.values.eval_loss[j]);
        if (fromTrain) i += 1;
        if (!fromTrain || both) j += 1;
      }
      return columns;
    }

    columns(key) {
      if (key === "loss") return this.merged();
      const xs = this.train.step.map((_, index) => this.x(this.train, index));
      return [xs, this.train.values[key]];
    }

    // --- Drawing -----------------------------------------------------------------------------
    later() {
      if (this.pending) return;
      this.pending = setTimeout(() => {
        this.pending = null;
        this.draw();
      }, 200);
    }

    draw() {
      if (!this.train.step.length && !this.eval.step.length) return;
      if (!this.plots.length) this.build();
      for (const plot of this.plots) {
        plot.setData(this.columns(plot.key), !this.zoom);
        if (this.zoom) plot.setScale("x", this.zoom);
      }
      this.readOut(this.hovered);
      this.fillTable();
    }

    rebuild() {
      cache = {};
      for (const plot of this.plots) plot.destroy();
      this.plots = [];
      this.hovered = null;
      this.draw();
    }

    build() {
      for (const box of this.boxes) {
        box.querySelector(".chart-wait")?.remove();
        const key = box.dataset.chart;
        const plot = new uPlot(this.options(key, box), this.columns(key), box);
        plot.key = key;
        this.plots.push(plot);
      }
    }

    options(key, box) {
      const main = key === "loss";
      const axis = (more) => ({
        stroke: () => colour("ink-3"),
        font: "12px ui-monospace, Menlo, Consolas, monospace",
        grid: { stroke: () => colour("line"), width: 1 },
        ticks: { show: false },
        ...more,
      });
      return {
        width: Math.max(200, box.clientWidth),
        height: main ? 320 : 150,
        padding: [10, 18, 0, 0],
        legend: { show: false },
        scales: { x: { time: false }, y: { distr: main && this.log ? 3 : 1 } },
        axes: [
          axis({ values: (_, ticks) => ticks.map((tick) => (this.axis === "time" ? seconds(tick) : number(tick))), size: 32, space: 56, ...(this.axis === "step" && { incrs: WHOLE }) }),
          axis({ values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : number(tick))), size: main ? 48 : 60, space: main ? 34 : 26 }),
        ],
        series: main ? [{}, ...this.lossSeries()] : [{}, { stroke: () => colour("accent"), width: 1.5, points: { show: false }, spanGaps: true }],
        cursor: {
          sync: { key: "job", setSeries: false, scales: ["x", null] },
          y: false,
          points: { size: 7 },
          drag: { x: true, y: false, setScale: false },
          bind: { dblclick: () => () => this.zoomTo(null) },
        },
        hooks: {
          setSelect: [(plot) => this.selected(plot)],
          setCursor: [(plot) => this.readOut(plot)],
        },
      };
    }

    lossSeries() {
      return [
        { stroke: () => colour("accent", 0.32), width: 1, points: { show: false }, spanGaps: true },
        { stroke: () => colour("accent"), width: 2, points: { show: false }, spanGaps: true },
        { stroke: () => colour("ember"), width: 1.5, dash: [5, 4], spanGaps: true,
          points: { show: true, size: 7, stroke: () => colour("ember"), fill: () => colour("panel"), width: 2 } },
      ];
    }

    selected(plot) {
      const { left, width } = plot.select;
      if (width < 6) return;
      this.zoomTo({ min: plot.posToVal(left, "x"), max: plot.posToVal(left + width, "x") });
      plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    }

    zoomTo(range) {
      this.zoom = range;
      const reset = this.root.querySelector("[data-chart-reset]");
      if (reset) reset.hidden = !range;
      this.draw();
    }

    // --- Numbers in words --------------------------------------------------------------------
    readOut(plot) {
      const hovered = plot && plot.cursor.idx !== null && plot.cursor.idx !== undefined && plot.cursor.left >= 0;
      this.hovered = hovered ? plot : null;
      const x = hovered ? plot.data[0][plot.cursor.idx] : null;
      const index = this.nearest(this.train, x);
      const at = this.nearest(this.eval, x);
      const words = {
        at: index < 0 ? "" : `step ${this.train.step[index]}${this.train.epoch[index] === null ? "" : ` · epoch ${number(this.train.epoch[index])}`}`,
        eval_loss: at < 0 ? "–" : loss(this.eval.values.eval_loss[at]),
      };
      for (const key of KEYS) words[key] = index < 0 ? "–" : number(this.train.values[key][index]);
      if (index >= 0) words.loss = loss(this.train.values.loss[index]);
      for (const box of this.root.querySelectorAll("[data-read]")) box.textContent = words[box.dataset.read];
    }

    // The last point at or before x; the newest without x.
    nearest(series, x) {
      const { length } = series.step;
      if (x === null || !length) return length - 1;
      let low = 0;
      let high = length - 1;
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (this.x(series, middle) <= x + 1e-9) low = middle;
        else high = middle - 1;
      }
      return this.x(series, low) <= x + 1e-9 ? low : -1;
    }

    fillTable() {
      const body = this.root.querySelector("[data-values]");
      if (!body?.closest("details")?.open) return;
      const rows = [...this.train.step.keys()].slice(-12).reverse();
      body.replaceChildren(
        ...rows.map((index) => {
          const row = document.createElement("tr");
          for (const text of [this.train.step[index], number(this.train.epoch[index]), ...KEYS.map((key) => number(this.train.values[key][index]))]) {
            row.insertCell().textContent = text;
          }
          for (const cell of row.cells) cell.className = "num";
          return row;
        }),
      );
    }

    // --- Tools -------------------------------------------------------------------------------
    listen() {
      this.root.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (button?.dataset.axis) this.choose("[data-axis]", button, () => ((this.axis = button.dataset.axis), (this.zoom = null)));
        else if (button?.dataset.scale) this.choose("[data-scale]", button, () => (this.log = button.dataset.scale === "log"));
        else if (button?.hasAttribute("data-chart-reset")) this.zoomTo(null);
      });
      this.root.querySelector("[data-smoothing]")?.addEventListener("input", (event) => {
        this.weight = Number(event.target.value);
        this.later();
      });
      this.root.querySelector("[data-values]")?.closest("details").addEventListener("toggle", () => this.fillTable());
      new ResizeObserver(() => {
        for (const plot of this.plots) {
          const width = Math.max(200, plot.root.parentElement.clientWidth);
          if (width !== plot.width) plot.setSize({ width, height: plot.height });
        }
      }).observe(this.root);
      document.addEventListener("theme", () => this.repaint());
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
    }

    choose(group, button, change) {
      for (const other of this.root.querySelectorAll(group)) other.setAttribute("aria-pressed", String(other === button));
      change();
      const reset = this.root.querySelector("[data-chart-reset]");
      if (reset) reset.hidden = !this.zoom;
      this.rebuild();
    }

    repaint() {
      cache = {};
      for (const plot of this.plots) plot.redraw(false);
    }
  }

  window.LossCharts = LossCharts;
  window.liveWords = { seconds, number, loss };
})();
