// What every chart is made of: numbers in words, the tokens' colours, and a run's series of points. No drawing here.
"use strict";

(() => {
  const MOST_POINTS = 8000; // beyond it every second point is dropped; the eye can't tell

  // --- Words -----------------------------------------------------------------------------------
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

  function compact(value) {
    if (!Number.isFinite(value) || Math.abs(value) < 10000) return number(value);
    const power = Math.min(3, Math.floor(Math.log10(Math.abs(value)) / 3));
    return `${Number((value / 1000 ** power).toPrecision(3))}${["", "k", "M", "B"][power]}`;
  }

  function bytes(value) {
    if (!Number.isFinite(value)) return "–";
    const power = Math.max(0, Math.min(4, Math.floor(Math.log10(value || 1) / 3)));
    const scaled = value / 1000 ** power;
    return `${scaled >= 100 || !power ? Math.round(scaled) : scaled.toFixed(1)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
  }

  // Losses keep four decimals, so that the digits of a moving number stay in their places.
  const loss = (value) => (Number.isFinite(value) && Math.abs(value) < 1000 ? value.toFixed(4) : number(value));
  const share = (value) => (Number.isFinite(value) ? `${Math.round(100 * value)} %` : "–");

  // --- Colours ---------------------------------------------------------------------------------
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
  const forgetColours = () => (cache = {});

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

  // The range most values lie in: what is outside the 2nd and 98th percentile is left out of view, not out of the data.
  function usualRange(lists) {
    const sorted = lists.flat().filter(Number.isFinite).sort((a, b) => a - b);
    if (sorted.length < 5) return null;
    const low = sorted[Math.floor(0.02 * (sorted.length - 1))];
    const high = sorted[Math.ceil(0.98 * (sorted.length - 1))];
    const pad = 0.06 * (high - low || Math.abs(high) || 1);
    return [low - pad, high + pad];
  }

  // --- Series ----------------------------------------------------------------------------------
  // Points in order of their step. `clock` is the training series: it tells where a point without own numbers lies in
  // epochs, training time and tokens.
  class Series {
    constructor(clock = null) {
      this.clock = clock;
      this.clear();
    }

    clear() {
      Object.assign(this, { step: [], epoch: [], time: [], tokens: [], wall: [], values: {} });
    }

    get length() {
      return this.step.length;
    }

    add(point) {
      if (typeof point.step !== "number") return;
      if (this.length && point.step === this.step.at(-1) && !point.repeats) return this.amend(point);
      // A run that resumed repeats steps: the newer attempt replaces what it repeats.
      if (!point.repeats && point.step < this.step.at(-1)) this.rewind(point.step);
      this.step.push(point.step);
      this.epoch.push(point.epoch ?? null);
      this.time.push(point.elapsed_seconds ?? null);
      this.tokens.push(point.values.num_tokens ?? null);
      this.wall.push(Date.parse(point.time) / 1000);
      for (const key of Object.keys(point.values)) this.values[key] ??= new Array(this.length - 1).fill(null);
      for (const [key, list] of Object.entries(this.values)) list.push(point.values[key] ?? null);
      if (this.length > MOST_POINTS) this.halve();
    }

    // A second report of the same step adds to it or replaces it.
    amend(point) {
      for (const [key, value] of Object.entries(point.values)) {
        this.values[key] ??= new Array(this.length).fill(null);
        this.values[key][this.length - 1] = value ?? this.values[key].at(-1);
      }
    }

    lists() {
      return [this.step, this.epoch, this.time, this.tokens, this.wall, ...Object.values(this.values)];
    }

    rewind(step) {
      let length = this.length;
      while (length && this.step[length - 1] >= step) length -= 1;
      for (const list of this.lists()) list.length = length;
    }

    halve() {
      const last = this.length - 1;
      const thin = (list) => list.filter((_, index) => index % 2 === 0 || index === last);
      for (const key of ["step", "epoch", "time", "tokens", "wall"]) this[key] = thin(this[key]);
      for (const key of Object.keys(this.values)) this.values[key] = thin(this.values[key]);
    }

    // Where a point lies on an axis (step, epoch, time, tokens).
    x(axis, index) {
      const own = this[axis][index];
      if (own !== null || axis === "step") return own;
      if (!this.clock) return this.step[index];
      const at = this.clock.at("step", this.step[index]);
      return at < 0 ? 0 : (this.clock[axis][at] ?? this.clock.step[at]);
    }

    xs(axis) {
      let highest = -Infinity;
      return this.step.map((_, index) => (highest = Math.max(highest, this.x(axis, index))));
    }

    // The last point at or before x on an axis; -1 for none. Without x the newest.
    at(axis, x) {
      let low = -1;
      let high = this.length - 1;
      if (x === null) return high;
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        const value = axis === "wall" ? this.wall[middle] : this.x(axis, middle);
        if (value <= x + 1e-9) low = middle;
        else high = middle - 1;
      }
      return low;
    }

    // The value there, or the last one before it: not every point has every value.
    read(key, axis, x) {
      let index = this.at(axis, x);
      while (index >= 0 && (this.values[key]?.[index] ?? null) === null) index -= 1;
      return index < 0 ? null : this.values[key][index];
    }
  }

  // Everything drawn of one run.
  class Run {
    constructor() {
      this.train = new Series();
      this.eval = new Series(this.train);
      this.device = new Series(this.train);
    }

    clear() {
      for (const series of [this.train, this.eval, this.device]) series.clear();
    }

    add(points) {
      for (const point of points) (point.split === "eval" ? this.eval : this.train).add(point);
    }

    // Memory events name no step of their own unless the platform took them: the training's clock tells.
    addMemory(events) {
      for (const event of events) {
        const at = this.train.at("wall", Date.parse(event.time) / 1000);
        const step = event.step ?? (at < 0 ? null : this.train.step[at]);
        if (step === null || step < (this.device.step.at(-1) ?? 0)) continue;
        const values = {};
        if (event.peak_bytes) values.peak = event.peak_bytes;
        for (const device of event.devices?.slice(0, 1) ?? []) {
          if (device.memory_used_bytes !== null) values.used = device.memory_used_bytes;
          if (device.utilisation !== null) values.load = device.utilisation;
        }
        this.device.add({ step, time: event.time, values });
      }
    }
  }

  window.Curves = { Run, Series, bytes, colour, compact, forgetColours, loss, number, seconds, share, smooth, usualRange };
})();
