// Draws each chart from the table beside it, again whenever that has changed.
(() => {
  const KINDS = {
    main: { line: "--line1", width: 2 },
    second: { line: "--line2", width: 2, dash: [6, 3] },
    bad: { line: "--line3", width: 2, dash: [2, 3] },
    before: { line: "--line4", width: 1.5, dash: [1, 2] },
  };
  // uPlot's formats of times, and ours.
  const FORMATS = [["{h}:{mm}{aa}", "{HH}:{mm}"], ["{h}{aa}", "{HH}:00"], ["{M}/{D}/{YY}", "{YYYY}-{MM}-{DD}"], ["{M}/{D}", "{MM}-{DD}"]];
  // Steps of an axis of numbers: there is no half job.
  const WHOLE = Array.from({ length: 15 }, (_, n) => [1, 2, 5].map((one) => one * 10 ** n)).flat();
  const drawn = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function duration(ms) {
    if (ms === null || ms === undefined) return "–";
    for (const [size, unit] of [[86400000, "d"], [3600000, "h"], [60000, "min"], [1000, "s"]]) {
      if (ms >= size) return `${+(ms / size).toFixed(ms / size < 10 ? 1 : 0)} ${unit}`;
    }
    return `${+ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  }
  const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: 0, notation: value >= 1e6 ? "compact" : "standard" }));

  function read(figure) {
    const rows = [...figure.querySelectorAll(".numbers tbody tr")].reverse();
    const number = (cell) => {
      const text = cell.dataset.y ?? cell.textContent.replaceAll(",", "");
      return text === "–" ? null : Number(text);
    };
    const heads = [...figure.querySelectorAll(".numbers thead th")].slice(1);
    const data = [rows.map((row) => Number(row.firstElementChild.dataset.x))];
    heads.forEach((_, n) => data.push(rows.map((row) => number(row.children[n + 1]))));
    return { data, lines: heads.map((head) => ({ label: head.textContent, ...KINDS[head.dataset.kind] })) };
  }

  function markers(marks) {
    return (plot) => {
      const { ctx, bbox } = plot;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = colour("--soft");
      ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
      ctx.textAlign = "left";
      ctx.textBaseline = "alphabetic";
      ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
      // The latest deploy is named first, and then each that has room above the plot.
      let free = Infinity;
      for (const [at, label] of [...marks].sort().reverse()) {
        // One of the period that isn't over yet stands where the figures end.
        const time = Math.min(Date.parse(at) / 1000, plot.data[0].at(-1));
        if (time < plot.scales.x.min || time > plot.scales.x.max) continue;
        const x = Math.round(plot.valToPos(time, "x", true));
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        const name = label.slice(0, 20);
        const wide = ctx.measureText(name).width;
        const start = Math.min(Math.max(x - wide / 2, bbox.left), bbox.left + bbox.width - wide);
        if (start + wide > free) continue;
        ctx.fillText(name, start, bbox.top - 5 * devicePixelRatio);
        free = start - 8 * devicePixelRatio;
      }
      ctx.restore();
    };
  }

  function draw(figure) {
    const { data, lines } = read(figure);
    const box = figure.querySelector(".plot");
    const around = figure.closest(".charts");
    if (data[0].length < 2 || !box.clientWidth) return;
    const isTime = figure.dataset.unit === "ms";
    const tell = isTime ? duration : count;
    const here = (at) => uPlot.tzDate(new Date(at * 1000), around.dataset.tz);
    const full = uPlot.fmtDate("{YYYY}-{MM}-{DD} {HH}:{mm}");
    const marks = JSON.parse(around.dataset.marks);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const plot = new uPlot({
      width: box.clientWidth,
      height: 170,
      padding: [marks.length ? 20 : null, null, null, null],
      tzDate: here,
      fmtDate: (format) => uPlot.fmtDate(FORMATS.reduce((text, [theirs, ours]) => text.replaceAll(theirs, ours), format)),
      cursor: { points: { size: 6 } },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [axis, { ...axis, size: 58, values: (_, ticks) => ticks.map(tell), ...(isTime ? {} : { incrs: WHOLE }) }],
      series: [
        { label: "from", value: (_, at) => (at === null ? "" : full(here(at))) },
        ...lines.map(({ label, line, width, dash }) => ({
          label, width, dash, stroke: colour(line), points: { show: data[0].length < 30, size: 4 }, value: (_, value) => tell(value),
        })),
      ],
      legend: { markers: { dash: (_, n) => (lines[n - 1]?.dash ? "dotted" : "solid") } },
      hooks: { draw: [markers(marks)] },
    }, data, box);
    drawn.set(figure, plot);
  }

  function drawAll(root) {
    for (const [figure, plot] of drawn) {
      if (figure.isConnected) continue;
      plot.destroy();
      drawn.delete(figure);
    }
    root.querySelectorAll("[data-chart]").forEach(draw);
  }

  let width = innerWidth;
  addEventListener("resize", () => {
    if (width === innerWidth) return;
    width = innerWidth;
    for (const [figure, plot] of drawn) plot.setSize({ width: figure.querySelector(".plot").clientWidth, height: 170 });
  });
  document.addEventListener("fresh", (event) => drawAll(event.target));
  drawAll(document);
})();
