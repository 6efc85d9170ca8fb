"use strict";

const POINTS = 120; // of a chart, one a second
const STAGES = ["decode", "preprocess", "queue", "compute", "serialize"];
const PHOTO_STAGES = STAGES.slice(0, 4); // of one photo
const UPLOADS = 4; // photos on their way at once
const byId = (id) => document.getElementById(id);
const history = { rate: [], flight: [] };
const KEPT = 200; // photos shown, and compared
const TAGS = 5; // of a photo
const photos = []; // {name, url, line, values}, the newest last
let last = null; // the statistics before, and when they came

const text = (value) => document.createTextNode(value);
function element(tag, attributes, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

function call(path, options = {}) {
  const key = sessionStorage.getItem("yeoul-key");
  if (key) options.headers = { ...options.headers, Authorization: "Bearer " + key };
  return fetch(path, options).then((reply) => {
    byId("key-form").hidden = reply.status !== 401;
    return reply;
  });
}

const round = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });
const milliseconds = (value) => round(value, value < 10 ? 2 : value < 100 ? 1 : 0) + " ms";
function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  for (; value >= 1024 && unit < 3; ++unit) value /= 1024;
  return round(value, 1) + " " + units[unit];
}

function large(value, unit) {
  const prefixes = ["", "k", "M", "G"];
  let power = 0;
  for (; value >= 1000 && power < 3; ++power) value /= 1000;
  return (value.toLocaleString("en", { maximumSignificantDigits: 3 }) + " " + prefixes[power] + unit).trim();
}

function draw(id, values, unit) {
  const most = Math.max(1e-9, ...values);
  const points = values.map((value, i) =>
    ((i + POINTS - values.length) / (POINTS - 1)) * 100 + "," + (39 - (value / most) * 36)).join(" ");
  const chart = byId(id);
  chart.innerHTML = `<svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img"><polyline points="${points}"/></svg>`;
  chart.firstChild.setAttribute("aria-label",
    `now ${round(values.at(-1), 1)} ${unit}, at most ${round(most, 1)}`);
}

function bars(id, entries, format, nothing) {
  const most = Math.max(1e-9, ...entries.map(([, value]) => value));
  byId(id).replaceChildren(...entries.map(([name, value]) => {
    const line = element("div", { className: "bar" }, element("span", {}, text(name)),
      element("span", {}, element("i")), element("span", {}, text(format(value))));
    line.querySelector("i").style.width = (value / most) * 100 + "%";
    return line;
  }));
  if (entries.length === 0) byId(id).append(element("p", { className: "note" }, text(nothing)));
}

function stack(target, parts) {
  const total = parts.reduce((sum, [, value]) => sum + value, 0);
  target.replaceChildren(...parts.map(([name, value]) => {
    const part = element("div", { title: name });
    part.style.cssText = `width:${total ? (value / total) * 100 : 0}%;background:var(--s${STAGES.indexOf(name)})`;
    return part;
  }));
  target.setAttribute("aria-label", parts.map(([name, value]) => name + " " + milliseconds(value)).join(", "));
}

function card(id, rows) {
  byId(id).replaceChildren(...rows.flatMap(([name, value]) =>
    [element("dt", {}, text(name)), element("dd", {}, text(value))]));
}

function showModel(model) {
  const device = model.device;
  const rows = [["name", model.name]];
  if (device) rows.push(
    ["family", model.family], ["vector", model.dim + " numbers"],
    ["takes", model.image_width + " × " + model.image_height + " pixels"],
    ["parameters", large(model.parameters, "")],
    ["a photo", large(model.gflop * 1e9, "FLOP")],
    ["device", device.kind + " " + device.name], ["precision", device.dtype],
    ["batches", "up to " + device.batch_size], ["threads", device.threads], ["streams", device.streams]);
  card("model", rows);
}

function showGpu(gpu) {
  byId("gpu-part").hidden = !gpu;
  if (gpu) card("gpu", [
    ["busy", round(gpu.utilization * 100, 0) + " % of the time"],
    ["memory", `${bytes(gpu.used_bytes)} of ${bytes(gpu.total_bytes)}, all programs`],
    ["power", `${round(gpu.watts, 0)} of ${round(gpu.limit_watts, 0)} W`],
    ["SM clock", round(gpu.sm_hertz / 1e6, 0) + " MHz"],
    ["held down by", gpu.throttled.join(", ").replaceAll("_", " ") || "nothing"]]);
}

function showStages(sums, photos) {
  const before = last ? last.stats.photos.stage_ms_sums : {};
  let parts = STAGES.map((stage) => [stage, sums[stage] - (before[stage] || 0)]);
  const recent = last ? photos - last.stats.photos.answered : photos;
  if (recent <= 0) return;
  parts = parts.map(([stage, sum]) => [stage, sum / recent]);
  stack(byId("stages"), parts);
  byId("stage-legend").replaceChildren(...parts.map(([stage, value], i) => {
    const mark = element("i");
    mark.style.background = `var(--s${i})`;
    return element("li", {}, mark, text(stage + " " + milliseconds(value)));
  }));
}

function showMemory(parts) {
  const most = Math.max(1, ...parts.map((part) => part.reserved_bytes));
  byId("memory").replaceChildren(...parts.map((part) => {
    const allocated = element("i"), reserved = element("b", {}, allocated);
    reserved.style.width = (part.reserved_bytes / most) * 100 + "%";
    allocated.style.width = (part.allocated_bytes / Math.max(1, part.reserved_bytes)) * 100 + "%";
    return element("div", { className: "bar", title: "at most " + bytes(part.peak_bytes) },
      element("span", {}, text(part.tag + (part.pinned ? ", pinned" : ""))), element("span", {}, reserved),
      element("span", {}, text(`${bytes(part.allocated_bytes)} of ${bytes(part.reserved_bytes)}`)));
  }));
}

function showLabels(labels, templates) {
  byId("labels").value = labels.join(", ");
  byId("labels-state").textContent = labels.length
    ? `${labels.length} labels, each as “${templates.join("”, “")}”` : "No labels yet: photos get vectors only.";
}

async function setLabels(event) {
  event.preventDefault();
  const labels = byId("labels").value.split(",").map((label) => label.trim()).filter((label) => label);
  byId("set-labels").disabled = true;
  byId("labels-state").textContent = "being set";
  try {
    const reply = await call("/v1/labels", { method: "PUT", body: JSON.stringify({ labels }) });
    const answer = await reply.json();
    if (!reply.ok) throw new Error(answer.error);
    showLabels(answer.labels, answer.templates);
    last.stats.labels.count = answer.labels.length;
  } catch (error) {
    byId("labels-state").textContent = error.message;
  }
  byId("set-labels").disabled = false;
}

function showState(state) {
  byId("state").textContent = state;
  byId("state").dataset.state = state;
}

function show(stats, now) {
  const seconds = last ? (now - last.now) / 1000 : 0;
  const rate = seconds ? (stats.photos.answered - last.stats.photos.answered) / seconds : 0;
  showState(stats.state);
  byId("rate").textContent = round(rate, 1);
  for (const p of ["p50", "p95", "p99"])
    byId(p).textContent = stats.latency_ms.requests ? milliseconds(stats.latency_ms[p]) : "–";
  byId("window").textContent = stats.latency_ms.window_s;
  byId("in-flight").textContent = round(stats.photos.in_flight, 0);
  byId("waiting").textContent = round(stats.queue.waiting, 0);
  byId("failed").textContent = round(stats.photos.failed, 0);
  byId("answered").textContent = round(stats.photos.answered, 0);
  byId("connections").textContent = round(stats.connections, 0);
  history.rate = [...history.rate, rate].slice(-POINTS);
  history.flight = [...history.flight, stats.photos.in_flight].slice(-POINTS);
  draw("rate-chart", history.rate, "photos a second");
  draw("flight-chart", history.flight, "in flight");
  showStages(stats.photos.stage_ms_sums, stats.photos.answered);
  bars("batches", Object.entries(stats.photos.by_batch_size).sort((a, b) => a[0] - b[0]),
    (value) => round(value, 0), "no photo yet");
  showMemory(stats.memory);
  showGpu(stats.gpu);
  byId("labels-form").hidden = !stats.labels.possible;
  bars("failures", Object.entries(stats.failures).filter(([, count]) => count > 0),
    (value) => round(value, 0), "none");
  if (!last || last.stats.state !== stats.state) {
    showModel(stats.model);
    showSnippets(stats.model.name, stats.labels.possible);
    if (stats.labels.possible)
      call("/v1/labels").then((reply) => reply.json()).then((is) => showLabels(is.labels, is.templates), () => {});
  }
  last = { stats, now };
}

async function poll() {
  try {
    const reply = await call("/v1/stats");
    if (reply.ok) show(await reply.json(), performance.now());
    else showState(reply.status === 401 ? "a key is missing" : "error " + reply.status);
  } catch {
    showState("lost");
  }
  setTimeout(poll, document.hidden ? 5000 : 1000);
}

function unit(values) {
  const length = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0)) || 1;
  return values.map((x) => x / length);
}
const cosine = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0); // of unit vectors

let best = null; // the closest pair so far
function showPair(photo) {
  for (const other of photos) {
    if (other === photo) continue;
    const similarity = cosine(photo.values, other.values);
    if (!best || similarity > best.similarity) best = { similarity, a: other, b: photo };
  }
  if (!best) return;
  byId("pair").replaceChildren(element("img", { src: best.a.url, alt: "" }), element("img", { src: best.b.url, alt: "" }),
    element("span", {}, text(`Closest pair: ${best.a.name} and ${best.b.name}, cosine ${best.similarity.toFixed(4)}`)));
}

function keep(photo) {
  photos.push(photo);
  if (photos.length > KEPT) {
    const old = photos.shift();
    old.line.remove();
    if (best && (best.a === old || best.b === old)) best = null;
    URL.revokeObjectURL(old.url);
  }
  showPair(photo);
}

const tagList = (tags) => element("ul", { className: "tags" }, ...tags.map((tag) =>
  element("li", {}, text(`${tag.label} ${round(tag.probability * 100, 1)} %`))));

// The vector as a strip: blue below zero, orange above.
function strip(values) {
  const canvas = element("canvas", { width: values.length, height: 1 });
  const pixels = new ImageData(values.length, 1);
  const most = Math.max(1e-9, ...values.map(Math.abs));
  values.forEach((value, i) => {
    const strength = Math.round((Math.abs(value) / most) * 255);
    pixels.data.set(value < 0 ? [40, 90, 220, strength] : [230, 130, 30, strength], i * 4);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", values.length + " numbers, first " +
    values.slice(0, 4).map((value) => value.toFixed(4)).join(", "));
  return canvas;
}

async function embed(file) {
  const url = URL.createObjectURL(file);
  const picture = element("img", { src: url, alt: "" });
  picture.onerror = () => picture.removeAttribute("src"); // a format that the browser does not show
  const name = element("span", { className: "name" }, text(file.name + ": sending"));
  const line = element("li", {}, picture, name);
  byId("photos").prepend(line);
  const tagged = last && last.stats.labels.count > 0;
  try {
    const reply = await call(tagged ? "/v1/embed?tags=" + TAGS : "/v1/embed",
      { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    const answer = await reply.json();
    if (!reply.ok) throw new Error(answer.error);
    name.textContent = `${file.name}: ${answer.width} × ${answer.height} ${answer.format}`;
    const times = PHOTO_STAGES.map((stage) => [stage, answer.timing_ms[stage]]);
    const stages = element("div", { className: "stack" });
    stages.setAttribute("role", "img");
    stack(stages, times);
    if (answer.tags) line.append(tagList(answer.tags));
    line.append(strip(answer.embedding), stages, element("span", { className: "note" },
      text(times.map(([stage, value]) => `${stage} ${milliseconds(value)}`).join(", ") +
        `; in all ${milliseconds(answer.timing_ms.total)}, in a batch of ${answer.batch}`)));
    keep({ name: file.name, url, line, values: unit(answer.embedding) });
  } catch (error) {
    name.textContent = file.name + ": " + error.message;
    name.className = "name bad";
    if (line.children.length === 2) picture.remove();
    URL.revokeObjectURL(url);
  }
}

async function embedAll(files) {
  const left = [...files];
  const work = async () => {
    while (left.length) await embed(left.shift());
  };
  await Promise.all(Array.from({ length: UPLOADS }, work));
}

async function copyText(code, shown) {
  try {
    await navigator.clipboard.writeText(code);
    return true;
  } catch { // there is no clipboard on pages that came over plain HTTP from another machine
    getSelection().selectAllChildren(shown);
    return false;
  }
}

function showSnippets(model, tags) {
  const at = location.origin;
  const snippets = {
    curl: `curl --data-binary @photo.jpg ${at}/v1/embed\ncurl -F photo=@a.jpg -F photo=@b.jpg ${at}/v1/duplicates` + (tags
      ? `\ncurl -X PUT -d '{"labels": ["cat", "dog"]}' ${at}/v1/labels\ncurl --data-binary @photo.jpg ${at}/v1/tag` : ""),
    Python: `import httpx\n\nreply = httpx.post("${at}/v1/embed", content=open("photo.jpg", "rb").read())\nreply.raise_for_status()\nvector = reply.json()["embedding"]`,
    tritonclient: `import numpy, tritonclient.http\n\nclient = tritonclient.http.InferenceServerClient("${location.host}")\nphoto = tritonclient.http.InferInput("IMAGE", [1, 1], "BYTES")\nphoto.set_data_from_numpy(numpy.array([[open("photo.jpg", "rb").read()]], dtype=object))\nvector = client.infer("${model}", [photo]).as_numpy("image_embeds")`,
    openai: `import base64, openai\n\nclient = openai.OpenAI(base_url="${at}/v1", api_key="none")\nuri = "data:image/jpeg;base64," + base64.b64encode(open("photo.jpg", "rb").read()).decode()\nreply = client.embeddings.create(model="${model}", input=[uri], extra_body={"modality": "image"})`,
  };
  byId("snippets").replaceChildren(...Object.entries(snippets).map(([name, code]) => {
    const copy = element("button", { type: "button" }, text("Copy"));
    copy.setAttribute("aria-label", "Copy the " + name + " example");
    const shown = element("pre", { tabIndex: 0 }, text(code));
    copy.onclick = async () => {
      copy.textContent = (await copyText(code, shown)) ? "Copied" : "Selected";
    };
    return element("div", { className: "snippet" },
      element("div", {}, element("strong", {}, text(name)), copy), shown);
  }));
}

byId("files").onchange = (event) => {
  embedAll(event.target.files);
  event.target.value = "";
};
for (const kind of ["dragover", "dragleave", "drop"])
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") embedAll(event.dataTransfer.files);
  });
byId("labels-form").onsubmit = setLabels;
byId("key-form").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem("yeoul-key", byId("key").value);
  byId("key-form").hidden = true;
};
poll();
