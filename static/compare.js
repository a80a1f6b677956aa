// The comparison: the same charts as on a job's page, with a line for each run.
"use strict";

(() => {
  const board = document.getElementById("comparison");
  if (!board) return;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const DASHES = [undefined, [7, 4], [2, 4], [10, 3, 2, 3]];

  const charts = Object.fromEntries(read("compare-charts").map((chart) => [chart.name, chart]));
  const runs = read("compare-runs").map((known, index) => {
    const run = new window.Curves.Run();
    run.add(read("compare-curves")[index].points);
    return { ...known, run, dash: DASHES[(Math.floor(index / 2) + Math.floor(index / 8)) % DASHES.length] };
  });

  // The same step of two runs is the same place, so their points may stand in one table.
  new window.Charts(board, (name) => {
    const { split, key } = charts[name];
    const look = split === "eval" ? { points: true } : { smooth: key !== "learning_rate" };
    return runs.map(({ id, name: label, colour, run, dash }) => ({ id, series: run[split], key, label, colour, dash, ...look }));
  }).draw();
})();
