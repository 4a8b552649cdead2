// Whether this browser shows the alpha of a WebM: a transparent one is drawn, and looked at.

const WAIT_MS = 4000;

/** "webm" where it does, else "stacked": what the server makes for looking at. */
export const lookKind = detect();

async function detect() {
  try {
    if ((await drawnAlpha("static/alpha-probe.webm")) < 128) {
      return "webm";
    }
  } catch {
    // It cannot even play it.
  }
  await import("./stacked-alpha-video.js");
  return "stacked";
}

async function drawnAlpha(url) {
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  video.preload = "auto";
  await soon(video, "loadeddata", url);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data[3];
}

function soon(video, name, url) {
  return new Promise((resolve, reject) => {
    video.addEventListener(name, resolve, { once: true });
    video.addEventListener("error", reject, { once: true });
    setTimeout(reject, WAIT_MS);
    video.src = url;
  });
}
