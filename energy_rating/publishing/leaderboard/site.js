// Sorts, filters, searches and draws. Names come from anybody: they are put into the page as text and never as markup, and nothing is
// asked for but files of this site, whose names are reckoned here.
"use strict";
(() => {
  const body = document.body, up = body.dataset.up, stamp = body.dataset.stamp;
  const shown = 200, most = 50000;
  const waiting = new Map();

  // Data are scripts that call this, so that the site also works from a disk, where a page may not fetch.
  window.energyRating = (name, value) => { const one = waiting.get(name); if (one) { one(value); waiting.delete(name); } };
  const loaded = new Map();
  function load(name) {
    if (!loaded.has(name)) loaded.set(name, new Promise((done) => {
      waiting.set(name, done);
      const script = document.createElement("script");
      script.src = `${up}data/${name}.js?${stamp}`;
      script.onerror = () => { waiting.delete(name); done(null); };
      document.head.append(script);
    }));
    return loaded.get(name);
  }

  function make(kind, text, more) {
    const one = document.createElement(kind);
    if (text !== undefined && text !== null) one.textContent = text;
    for (const [name, value] of Object.entries(more || {})) one.setAttribute(name, value);
    return one;
  }
  const modelPage = (name, run) => `${up}model.html?m=${encodeURIComponent(name)}${run ? "#run-" + encodeURIComponent(run) : ""}`;
  const number = (value) => value.toLocaleString("en");

  function stars(count, doubt) {
    const cell = make("td", null, {class: "stars"});
    if (count) {
      cell.append(make("span", "★".repeat(count) + "☆".repeat(5 - count), {"aria-hidden": "true"}));
      cell.append(make("span", `${count} of 5 stars`, {class: "sr"}));
    }
    if (doubt) cell.append(` ${doubt}`);
    return cell;
  }

  // ---------------------------------------------------------------------------------------------- FNV-1a, words, shards

  function fnv1a(text) {
    let found = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(text)) found = Math.imul(found ^ byte, 0x01000193) >>> 0;
    return found;
  }
  const shardOf = (name) => (fnv1a(name) % Number(body.dataset.shards)).toString(16).padStart(5, "0");
  const wordsOf = (text) => [...new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) || [])];
  const fileName = (prefix) => [...prefix].map((one) => /[a-z0-9]/.test(one) ? one : `_${one.codePointAt(0).toString(16)}_`).join("");

  // --------------------------------------------------------------------------------------------------------- a table

  // A table of rows that are lists; ``columns`` say which place is shown, which is sorted by, and how.
  function table(rows, columns, places, filters, first) {
    const element = document.getElementById("table"), tbody = element.tBodies[0];
    const count = document.getElementById("count"), more = document.getElementById("more");
    const form = document.getElementById("filters");
    let key = first, down = false, limit = shown, wanted = rows;
    const at = (row, name) => row[places[name]];
    const chosen = {};

    function compare(one, other) {
      const a = at(one, key), b = at(other, key);
      // What is not known stands last in both directions.
      const none = (value) => value === null || value === "" || (value === 0 && key !== "energy_j");
      if (none(a) || none(b)) return none(a) - none(b);
      const found = typeof a === "number" && typeof b === "number" ? a - b : String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
      return down ? -found : found;
    }
    function show() {
      const text = (chosen.text || "").toLowerCase().split(/\s+/).filter(Boolean);
      wanted = rows.filter((row) => filters.every((name) => !chosen[name] || at(row, name) === chosen[name])
        && text.every((word) => at(row, "model").toLowerCase().includes(word)));
      wanted.sort(compare);
      tbody.replaceChildren(...wanted.slice(0, limit).map(draw));
      more.hidden = wanted.length <= limit;
      count.textContent = `${number(wanted.length)} of ${number(rows.length)} rows${wanted.length > limit ? `, the first ${limit} shown` : ""}`;
    }
    function draw(row) {
      const line = make("tr");
      for (const column of columns) {
        const value = at(row, column.shown);
        if (column.shown === "model") {
          const cell = make("th", null, {scope: "row"});
          if (column.link) cell.append(make("a", value, {href: modelPage(value)})); else cell.textContent = value;
          line.append(cell);
        } else if (column.shown === "stars") line.append(stars(value, at(row, "doubt")));
        else line.append(make("td", column.shown === "rank" ? value || "–" : value, column.number ? {class: "number"} : {}));
      }
      return line;
    }
    [...element.tHead.rows[0].cells].forEach((cell, place) => {
      const column = columns[place], button = make("button", cell.textContent, {type: "button"});
      cell.replaceChildren(button);
      button.addEventListener("click", () => {
        down = key === column.sort ? !down : column.down || false;
        key = column.sort;
        for (const other of element.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        show();
      });
    });
    const labels = {class: "Class", hardware: "Hardware", basis: "Basis", engine: "Engine", checked: "Verified", task: "Task", protocol: "Protocol", whose: "Published by", precision: "Precision"};
    const typed = make("label", "Model holds");
    const input = typed.appendChild(make("input", null, {type: "search", name: "text"}));
    let later;
    input.addEventListener("input", () => { clearTimeout(later); later = setTimeout(() => { chosen.text = input.value; limit = shown; show(); }, 120); });
    form.append(typed);
    for (const name of filters) {
      const values = [...new Set(rows.map((row) => at(row, name)))].filter(Boolean).sort().slice(0, 500);
      if (values.length < 2) continue;
      const label = make("label", labels[name]), select = label.appendChild(make("select", null, {name}));
      select.append(make("option", "all", {value: ""}));
      for (const value of values) select.append(make("option", value, {value}));
      select.addEventListener("change", () => { chosen[name] = select.value; limit = shown; show(); });
      form.append(label);
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    more.addEventListener("click", () => {
      const place = limit;
      limit += shown;
      show();
      const link = tbody.rows[place]?.querySelector("a");
      if (link) link.focus();
    });
    show();
  }

  // ---------------------------------------------------------------------------------------------------------- charts

  const SVG = "http://www.w3.org/2000/svg";
  function draw(kind, more, text) {
    const one = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(more)) one.setAttribute(name, value);
    if (text !== undefined) one.textContent = text;
    return one;
  }
  function steps(low, high, log) {
    if (!log) { const step = (high - low) / 4 || 1; return [0, 1, 2, 3, 4].map((place) => low + place * step); }
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) found.push(...(high / low > 50 ? [1] : [1, 2, 5]).map((one) => one * 10 ** power));
    return found.filter((value) => value >= low * 0.99 && value <= high * 1.01);
  }
  const plain = (value) => value >= 1e12 ? `${+(value / 1e12).toPrecision(3)} T` : value >= 1e9 ? `${+(value / 1e9).toPrecision(3)} G` : value >= 1e6 ? `${+(value / 1e6).toPrecision(3)} M` : value >= 1e4 ? `${+(value / 1e3).toPrecision(3)} k` : String(+value.toPrecision(3));

  // Points {x, y, name}, energy on a logarithmic axis. With ``front`` the points that none is better than in both: more right, less energy.
  function chart(host, points, title, xName, yName, log, front) {
    points = points.filter((one) => one.y > 0 && (!log || one.x > 0)).slice(0, 2000);
    if (new Set(points.map((one) => one.x)).size < 2) return;
    const wide = 640, high = 340, left = 64, right = 16, top = 16, low = 48;
    const xs = points.map((one) => one.x), ys = points.map((one) => one.y);
    const scale = (a, b, from, to, log) => log
      ? (value) => from + (to - from) * (Math.log(value / a) / (Math.log(b / a) || 1))
      : (value) => from + (to - from) * ((value - a) / ((b - a) || 1));
    const [x0, x1] = log ? [Math.min(...xs) / 1.2, Math.max(...xs) * 1.2] : [Math.min(...xs), Math.max(...xs)];
    const [y0, y1] = [Math.min(...ys) / 1.3, Math.max(...ys) * 1.3];
    const x = scale(x0, x1, left, wide - right, log), y = scale(y0, y1, high - low, top, true);
    const figure = make("figure"), id = `chart-${host.children.length}`;
    const picture = draw("svg", {viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-labelledby": id});
    picture.append(draw("title", {id}, `${title}: ${points.length} points; the table holds the same figures`));
    picture.append(draw("path", {class: "axis", fill: "none", d: `M${left},${top}V${high - low}H${wide - right}`}));
    for (const value of steps(x0, x1, log)) picture.append(draw("text", {x: x(value), y: high - low + 18, "text-anchor": "middle"}, plain(value)));
    for (const value of steps(y0, y1, true)) picture.append(draw("text", {x: left - 6, y: y(value) + 4, "text-anchor": "end"}, plain(value)));
    picture.append(draw("text", {x: (left + wide) / 2, y: high - 8, "text-anchor": "middle"}, xName));
    picture.append(draw("text", {x: 14, y: high / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${high / 2})`}, yName));
    let best = [];
    if (front) {
      // From the best quality on: whatever needs less than all that are better.
      let least = Infinity;
      for (const one of [...points].sort((a, b) => b.x - a.x || a.y - b.y)) if (one.y < least) { least = one.y; best.push(one); }
      picture.append(draw("path", {class: "front", d: best.map((one, place) => `${place ? "L" : "M"}${x(one.x)},${y(one.y)}`).join("")}));
    }
    for (const one of points) {
      const dot = draw("circle", {class: best.includes(one) ? "best" : "dot", cx: x(one.x), cy: y(one.y), r: 4});
      dot.append(draw("title", {}, one.name));
      picture.append(dot);
    }
    figure.append(picture, make("figcaption", front ? `${title}. The line is the Pareto front (${best.length} of ${points.length}): nothing is both better and needs less.` : title, {class: "quiet"}));
    host.append(figure);
  }

  // ----------------------------------------------------------------------------------------------------------- pages

  const column = (shown, sort, more) => ({shown, sort: sort || shown, ...(more || {})});

  async function board() {
    const count = Number(body.dataset.parts), parts = [];
    for (let place = 0, rows = 0; place < count && rows < most; place++) {
      const part = await load(`boards/${body.dataset.board}-${place}`);
      if (part) { parts.push(part); rows += part.rows.length; }
    }
    if (!parts.length) return;
    const rows = parts.flatMap((one) => one.rows);
    const places = Object.fromEntries(parts[0].columns.map((name, place) => [name, place]));
    const columns = [
      column("rank", "rank", {number: true}), column("model", "model", {link: true}), column("energy", "energy_j", {number: true}), column("stars", "stars", {down: true}),
      column("class"), column("hardware"), column("basis"), column("engine"), column("load", "at_once"), column("precision"), column("size_told", "size", {number: true}),
      column("quality_told", "quality", {down: true}), column("runs", "runs", {number: true, down: true}), column("best", "energy_j", {number: true}), column("day", "day", {down: true}), column("checked"),
    ];
    table(rows, columns, places, ["class", "hardware", "basis", "engine", "precision", "checked"], "rank");
    if (Number(body.dataset.rows) > rows.length) document.getElementById("count").after(make("p", `Only the first ${number(rows.length)} of ${number(Number(body.dataset.rows))} rows are sorted here; find a model to see all of its runs.`, {class: "warn"}));
    const ranked = rows.filter((row) => row[places.rank]), host = document.getElementById("charts");
    const point = (x) => (row) => ({x: row[places[x]], y: row[places.energy_j], name: `${row[places.model]}, ${row[places.hardware]}: ${row[places.energy]}`});
    const metrics = new Map();
    for (const row of ranked) if (row[places.quality] !== null) metrics.set(row[places.metric], [...(metrics.get(row[places.metric]) || []), row]);
    for (const [metric, some] of [...metrics].slice(0, 3)) chart(host, some.map(point("quality")), `Energy against ${metric}`, metric, "joules", false, true);
    chart(host, ranked.map(point("size")), "Energy over the size of models", "parameters", "joules", true, false);
    chart(host, ranked.map(point("at_once")), "Energy over load", "requests at once, or batch", "joules", true, false);
  }

  async function published() {
    const data = await load("published");
    if (!data) return;
    const places = Object.fromEntries(data.columns.map((name, place) => [name, place]));
    const columns = [column("model"), column("task"), column("protocol"), column("energy", "energy_j", {number: true}), column("unit"), column("hardware"), column("load"), column("precision"), column("settings"), column("whose")];
    table(data.rows, columns, places, ["task", "protocol", "hardware", "precision", "whose"], "model");
  }

  async function model() {
    const name = new URLSearchParams(location.search).get("m") || "", said = document.getElementById("said"), host = document.getElementById("runs");
    document.getElementById("name").textContent = name || "A model";
    document.title = `${name} · ${document.title}`;
    const shard = await load(`models/${shardOf(name)}`), rows = shard && new Map(shard.models).get(name);
    if (!rows) {
      said.textContent = "No run of this model is published now. ";
      said.append(make("a", "See what was withdrawn", {href: `${up}changes.html`}));
      return;
    }
    const places = Object.fromEntries(shard.columns.map((one, place) => [one, place]));
    const at = (row, one) => row[places[one]];
    said.textContent = `${number(rows.length)} run${rows.length > 1 ? "s" : ""}${at(rows[0], "size_told") ? `, ${at(rows[0], "size_told")} parameters` : ""}. Figures of different groups are not to be compared.`;
    const groups = new Map();
    for (const row of rows) { const key = at(row, "board"); groups.set(key, [...(groups.get(key) || []), row]); }
    for (const [slug, some] of groups) {
      const heading = make("h2");
      if (slug) heading.append(make("a", at(some[0], "title"), {href: `${up}boards/${slug}.html`})); else heading.textContent = "In no ranking";
      host.append(heading, make("p", slug ? at(some[0], "rule") : "For nothing, doubted, without a figure, or not of a kind that is ranked.", {class: "rule"}));
      const good = some.filter((row) => at(row, "energy_j") !== null && at(row, "checked") === "verified").sort((a, b) => at(a, "energy_j") - at(b, "energy_j"));
      if (slug && good.length) {
        const best = good[0], middle = good[Math.floor(good.length / 2)];
        host.append(make("p", `Best of ${number(good.length)} verified: ${at(best, "energy")} on ${at(best, "hardware")} (${at(best, "day")}). Median: ${at(middle, "energy")} on ${at(middle, "hardware")}.`));
      }
      host.append(runs(some, at, name));
      if (slug) chart(host, good.map((row) => ({x: at(row, "at_once"), y: at(row, "energy_j"), name: `${at(row, "hardware")}, ${at(row, "load")}: ${at(row, "energy")}`})), "Energy over load", "requests at once, or batch", "joules", true, false);
    }
    const wanted = decodeURIComponent(location.hash.slice(1)), here = wanted && document.getElementById(wanted);
    if (here) { here.classList.add("here"); here.scrollIntoView({block: "center"}); }
  }

  function runs(rows, at, name) {
    const scroll = make("div", null, {class: "scroll", tabindex: "0", role: "region", "aria-label": "Runs"}), one = make("table"), head = make("tr");
    for (const [text, kind] of [["Day"], ["Energy", "number"], ["In all", "number"], ["Stars"], ["Hardware"], ["Basis"], ["Engine"], ["Load"], ["Precision"], ["Quality"], ["Place"], ["Verified"], ["Why not rated, and what else"], ["Run"]])
      head.append(make("th", text, kind ? {scope: "col", class: kind} : {scope: "col"}));
    const tbody = make("tbody"), all = rows.slice(0, 2000);
    for (const row of all) {
      const line = make("tr", null, {id: `run-${at(row, "run")}`});
      line.append(make("td", at(row, "day")), make("td", at(row, "energy"), {class: "number"}), make("td", at(row, "whole"), {class: "number"}), stars(at(row, "stars"), at(row, "doubt")));
      for (const key of ["hardware", "basis", "engine", "load", "precision", "quality_told", "place", "checked"]) line.append(make("td", at(row, key)));
      line.append(make("td", [at(row, "ending"), at(row, "why_not"), at(row, "findings")].filter(Boolean).join("; ")));
      const last = make("th", null, {scope: "row"}), base = body.dataset.runsUrl, folder = at(row, "folder");
      if (base && folder) last.append(make("a", at(row, "run"), {href: base + folder.split("/").map(encodeURIComponent).join("/")}));
      else last.append(make("a", at(row, "run"), {href: modelPage(name, at(row, "run"))}));
      line.append(last);
      tbody.append(line);
    }
    one.append(make("caption", rows.length > all.length ? `The newest ${number(all.length)} of ${number(rows.length)} runs` : `${number(rows.length)} run${rows.length > 1 ? "s" : ""}, the newest first`));
    const thead = make("thead");
    thead.append(head);
    one.append(thead, tbody);
    scroll.append(one);
    return scroll;
  }

  // The files of the longest word that was typed, letter by letter, until one says that there is nothing further.
  async function search(text) {
    const words = wordsOf(text).sort((a, b) => b.length - a.length);
    if (!words.length) return [];
    const letters = [...words[0]];
    let names = [], further = (await load("search/-"))?.more || "";
    for (let length = 1; length <= letters.length; length++) {
      // Of a letter that leads nowhere nothing is asked: where a word goes on, its file is there.
      if (![...further].includes(letters[length - 1])) return [];
      const file = fileName(letters.slice(0, length).join("")), found = await load(`search/${file}`);
      if (!found) return [];
      names = found.names;
      further = found.more;
      if (!further && !found.pages) break;
      if (length === letters.length) {
        for (let page = 1; page <= Math.min(found.pages, 20); page++) { const more = await load(`search/${file}-${page}`); if (more) names = names.concat(more.names); }
      }
    }
    const seen = new Set();
    return names.filter(([name]) => !seen.has(name) && seen.add(name) && matches(name, words));
  }
  function matches(name, words) {
    const own = wordsOf(name);
    return words.every((word) => own.some((one) => one.startsWith(word)));
  }
  async function found(text) {
    const said = document.getElementById("said"), list = document.getElementById("found");
    document.getElementById("asked").value = text;
    const names = await search(text);
    list.replaceChildren(...names.slice(0, shown).map(([name, count]) => {
      const item = make("li");
      item.append(make("a", name, {href: modelPage(name)}), ` · ${number(count)} run${count > 1 ? "s" : ""}`);
      return item;
    }));
    said.textContent = !text ? "Type a name, or a part of one, above." : names.length ? `${number(names.length)} model${names.length > 1 ? "s" : ""}${names.length > shown ? `, the first ${shown} shown` : ""}` : "No model of this name. Others may have published it: see the page Published by others.";
  }

  document.getElementById("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = document.getElementById("asked").value.trim();
    if (body.dataset.page === "search") { history.replaceState(null, "", `?q=${encodeURIComponent(text)}`); found(text); }
    else if (text) location.href = `${up}search.html?q=${encodeURIComponent(text)}`;
  });
  const pages = {board, published, model, search: () => found(new URLSearchParams(location.search).get("q") || "")};
  Promise.resolve(pages[body.dataset.page]?.()).then(() => body.setAttribute("data-ready", "yes"));
})();
