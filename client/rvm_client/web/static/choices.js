// What can be chosen for a job: a row for each option, a row for each type of output. Another
// option is another row here, with its texts in texts.js.
//
// kind       which control of controls.js shows it
// initial    the value before anyone chose; a value that equals it is left out of the job
// more       stands under "More options"
// needs      the job's field without which a server knows nothing of it; then it is not shown
// fits(ctx)  whether it is shown; ctx: {types, facts, video, settings, backdrop}
// fields(value, ctx)  the job's fields it makes; without it, {name: value}
// names      the fields that an error of the server may begin with; without it, [name]

import { areaFields } from "./areas.js";
import { T } from "./texts.js";

const takesBackground = (ctx) => ctx.facts.some((facts) => facts.takes_background);
const hasRate = (ctx) => ctx.facts.some((facts) => facts.crf_bounds);
const isNumber = (value) => value !== "" && Number.isFinite(Number(value));

/** The named qualities, and the job's `speed` of each. */
export const PRESETS = [
  { value: "fast", speed: "fast" },
  { value: "balanced", speed: null },
  { value: "best", speed: "best" },
];

const SIZES = [[3840, 2160], [2560, 1440], [1920, 1080], [1280, 720], [854, 480], [640, 360]];

export const OPTIONS = [
  {
    name: "preset",
    kind: "presets",
    initial: "balanced",
    names: ["speed", "preset"],
    fields: (value) => ({ speed: PRESETS.find((preset) => preset.value === value).speed }),
  },
  {
    name: "background",
    kind: "background",
    initial: "green",
    fits: takesBackground,
    fields: (value, ctx) => ({ background: value === "viewer" ? ctx.background : null }),
  },
  {
    name: "trim",
    kind: "trim",
    initial: { start: "", end: "" },
    names: ["trim", "start_seconds", "end_seconds"],
    fields: trimFields,
  },
  { name: "audio", kind: "toggle", initial: true, fits: (ctx) => ctx.video.has_sound !== false },
  {
    name: "subject",
    kind: "choice",
    initial: "all",
    needs: "subject",
    names: ["subject", "keep"],
    items: () => itemsOf("subject", ["all", "largest"]),
  },
  {
    name: "source_type",
    kind: "choice",
    initial: "person",
    needs: "source_type",
    items: () => itemsOf("source_type", ["person", "green_screen", "auto"]),
  },
  {
    name: "areas",
    kind: "areas",
    initial: [],
    more: true,
    needs: "exclude",
    names: ["exclude"],
    // Behind the row of the subject, whose field it may extend.
    fields: (value, ctx) => areaFields(value, ctx.values.subject),
  },
  {
    name: "edges",
    kind: "sliders",
    initial: { shrink_pixels: 0, feather_pixels: 0, despill: 0 },
    more: true,
    needs: "edges",
    names: ["edges", "shrink_pixels", "feather_pixels", "despill"],
    parts: [
      { name: "shrink_pixels", min: -4, max: 8, step: 0.5 },
      { name: "feather_pixels", min: 0, max: 16, step: 0.5 },
      { name: "despill", min: 0, max: 1, step: 0.1 },
    ],
    fields: (value, ctx, initial) => ({ edges: changedParts(value, initial) }),
  },
  {
    name: "stabilize",
    kind: "sliders",
    initial: { stabilize: 0 },
    more: true,
    needs: "stabilize",
    parts: [{ name: "stabilize", min: 0, max: 100, step: 5 }],
    fields: (value) => value,
  },
  {
    name: "size",
    kind: "choice",
    initial: "",
    more: true,
    names: ["max_width", "max_height"],
    items: (ctx) => [
      { value: "", label: T.options.size.original },
      ...SIZES.filter((size) => isSmaller(size, ctx.video)).map(([width, height]) => ({
        value: `${width}x${height}`, label: `${height}p`,
      })),
    ],
    fields: sizeFields,
  },
  {
    name: "downsample_ratio",
    kind: "choice",
    initial: "",
    more: true,
    items: () => [
      { value: "", label: T.options.downsample_ratio.preset },
      { value: "auto", label: T.options.downsample_ratio.auto },
      ...[0.125, 0.25, 0.375, 0.5, 0.75, 1].map((ratio) => ({
        value: String(ratio), label: `${ratio * 100} %`,
      })),
    ],
    fields: (value) => ({
      downsample_ratio: isNumber(value) ? Number(value) : value || null,
    }),
  },
  {
    name: "rate",
    kind: "rate",
    initial: { by: "auto", crf: 23, megabits: 8 },
    more: true,
    names: ["crf", "bitrate"],
    fits: hasRate,
    fields: rateFields,
  },
  { name: "warm_start", kind: "toggle", initial: true, more: true },
];

/** Types of output whose order and texts are known; those the server adds come behind. */
export const OUTPUT_ORDER = [
  "alpha", "alpha_hevc", "greenscreen", "alpha_prores", "auto_web", "matte",
  "foreground_and_matte", "png_sequence", "alpha_stacked", "animated_webp", "animated_avif", "gif",
];

/** Those that most people want; the others stand under "More kinds of file". */
const USUAL = ["alpha", "alpha_hevc", "greenscreen", "alpha_prores", "auto_web"];

export const isUsual = (name) => USUAL.includes(name);

const FIRST_CHOSEN = ["alpha"];

/** The server's types in the order of the page. */
export function outputRows(settings) {
  const place = (type) => {
    const index = OUTPUT_ORDER.indexOf(type.name);
    return index < 0 ? OUTPUT_ORDER.length : index;
  };
  return [...settings.output_types].sort((one, other) => place(one) - place(other));
}

/** The label of a type, and where it plays. */
export function outputTexts(name) {
  return T.outputs[name] ?? { label: name.replaceAll("_", " "), plays: T.outputs.unknown };
}

/** The choices of a video before anyone chose. */
export function initialChoices(settings) {
  const known = settings.output_types.map((type) => type.name);
  const types = FIRST_CHOSEN.filter((name) => known.includes(name));
  return {
    types: types.length ? types : known.slice(0, 1),
    values: Object.fromEntries(OPTIONS.map((row) => [row.name, structuredClone(row.initial)])),
  };
}

/** The rows that are shown. */
export function fittingRows(ctx) {
  const known = ctx.settings.fields ?? [];
  return OPTIONS.filter((row) =>
    (!row.needs || known.includes(row.needs)) && (!row.fits || row.fits(ctx)));
}

/** The fields of a job with these values; what was not chosen is left out. */
export function jobFields(values, ctx) {
  const fields = {};
  for (const row of fittingRows(ctx)) {
    const value = values[row.name];
    if (JSON.stringify(value) === JSON.stringify(row.initial)) {
      continue;
    }
    const made = row.fields ? row.fields(value, ctx, row.initial) : { [row.name]: value };
    Object.entries(made).forEach(([name, field]) => {
      if (field !== null && field !== undefined) {
        fields[name] = field;
      }
    });
  }
  return fields;
}

/** The row that the server's sentence is about, or undefined. */
export function rowOfError(sentence) {
  const first = sentence.split(/[\s.:,]/, 1)[0];
  return OPTIONS.find((row) => (row.names ?? [row.name]).includes(first));
}

function itemsOf(name, values) {
  return values.map((value) => ({ value, label: T.options[name][value] }));
}

function changedParts(value, initial) {
  return Object.fromEntries(Object.entries(value).filter(([name, part]) => part !== initial[name]));
}

function trimFields({ start, end }) {
  const trim = {};
  if (isNumber(start)) trim.start_seconds = Number(start);
  if (isNumber(end)) trim.end_seconds = Number(end);
  return { trim: Object.keys(trim).length ? trim : null };
}

function isSmaller([width, height], video) {
  const [longest, shortest] = [
    Math.max(video.width ?? 1e6, video.height ?? 1e6), Math.min(video.width ?? 1e6, video.height ?? 1e6),
  ];
  return width < longest || height < shortest;
}

/** The same size for videos that stand upright. */
function sizeFields(value, ctx) {
  if (!value) {
    return {};
  }
  const [long, short] = value.split("x").map(Number);
  const upright = ctx.video.height > ctx.video.width;
  return { max_width: upright ? short : long, max_height: upright ? long : short };
}

function rateFields({ by, crf, megabits }) {
  return {
    crf: by === "crf" ? Number(crf) : null,
    bitrate: by === "bitrate" && isNumber(megabits) ? Math.round(Number(megabits) * 1e6) : null,
  };
}
