/**
 * <stacked-alpha-video>: a video with transparency that plays in every browser with WebGL.
 *
 * The video is an ordinary one of twice the height: the upper half is the straight (not
 * premultiplied) colour, the lower half the alpha as grey, black where nothing is. Each frame is
 * put together on a canvas. It needs nothing but this file, and works under a Content Security
 * Policy of `script-src 'self'; media-src 'self'`.
 *
 * Attributes: src, loop, muted, autoplay, playsinline, preload and crossorigin, as those of
 * <video>. What else a video can do is done with the property `video`, the HTMLVideoElement.
 *
 * A video that plays by itself without sound (autoplay and muted) rests while nobody can see it.
 */

const NO_WEBGL = "This browser cannot show the transparent video: it has no WebGL.";
const OTHER_SITE =
  "The transparent video is on another site, which does not allow this page to draw it " +
  "(see the attribute crossorigin).";

const VERTEX_SHADER = `
attribute vec2 corner;
varying vec2 place;
void main() {
  place = vec2(corner.x, 1.0 - corner.y);
  gl_Position = vec4(2.0 * corner - 1.0, 0.0, 1.0);
}`;

// Hence the bounds: what is read within half a row of the seam mixes colour and alpha, and where a
// decoder smooths its colours, whose rows are two rows high, so does the row on either side of it.
// The weights are those of BT.709's luma: what the codec adds as colour to the grey cancels out.
const FRAGMENT_SHADER = `
precision highp float;
uniform sampler2D frame;
uniform float margin;
varying vec2 place;
float row_in(float top) {
  return clamp(top + 0.5 * place.y, top + margin, top + 0.5 - margin);
}
void main() {
  vec3 colour = texture2D(frame, vec2(place.x, row_in(0.0))).rgb;
  vec3 grey = texture2D(frame, vec2(place.x, row_in(0.5))).rgb;
  float alpha = dot(grey, vec3(0.2126, 0.7152, 0.0722));
  gl_FragColor = vec4(colour * alpha, alpha);
}`;

/** Puts the frames of one video together on one canvas. */
class Painter {
  #gl;
  #margin;

  /** Throws where there is no WebGL. */
  constructor(canvas) {
    this.canvas = canvas;
    this.#gl = canvas.getContext("webgl", {
      alpha: true,
      premultipliedAlpha: true,
      antialias: false,
      depth: false,
    });
    if (!this.#gl) throw new Error(NO_WEBGL);
    this.setUp();
  }

  /** What a context needs when it is new, or came back after it was lost. */
  setUp() {
    const gl = this.#gl;
    const program = gl.createProgram();
    for (const [type, source] of [
      [gl.VERTEX_SHADER, VERTEX_SHADER],
      [gl.FRAGMENT_SHADER, FRAGMENT_SHADER],
    ]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(NO_WEBGL);
    }
    gl.useProgram(program);
    this.#margin = gl.getUniformLocation(program, "margin");
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
    const corner = gl.getAttribLocation(program, "corner");
    gl.enableVertexAttribArray(corner);
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
  }

  /** Draws the frame that the video shows. Throws a SecurityError if it may not be read. */
  draw(video) {
    const gl = this.#gl;
    const [width, height] = [video.videoWidth, video.videoHeight];
    if (gl.isContextLost() || !width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height / 2) {
      [this.canvas.width, this.canvas.height] = [width, Math.floor(height / 2)];
    }
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, video);
    gl.uniform1f(this.#margin, 1.5 / height);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  /** Gives the context back at once; a page may have only a few. */
  close() {
    this.#gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

export class StackedAlphaVideo extends HTMLElement {
  // In the order in which they are passed on: the source comes last.
  static observedAttributes = [
    "crossorigin",
    "playsinline",
    "preload",
    "muted",
    "loop",
    "autoplay",
    "src",
  ];

  /** The video that is decoded. It is never shown itself; play, pause and seek with it. */
  video = document.createElement("video");

  #root = this.attachShadow({ mode: "open" });
  #style = new CSSStyleSheet();
  #painter = null;
  #sight = null;
  #inSight = false;
  #isResting = false;
  #asked = null;

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [this.#style];
    this.#layOut();
    this.video.hidden = true;
    this.#root.append(this.video);
    this.video.addEventListener("resize", () => this.#layOut());
    for (const name of ["loadeddata", "seeked", "playing"]) {
      this.video.addEventListener(name, () => this.#wake());
    }
  }

  connectedCallback() {
    for (const name of StackedAlphaVideo.observedAttributes) this.#passOn(name);
    this.#open();
    this.#sight = new IntersectionObserver((entries) => this.#see(entries.at(-1).isIntersecting));
    this.#sight.observe(this);
  }

  disconnectedCallback() {
    this.#sight.disconnect();
    this.#see(false);
    this.video.pause();
    this.#painter?.close();
    this.#painter?.canvas.remove();
    this.#painter = null;
  }

  attributeChangedCallback(name, before, now) {
    if (!this.isConnected) return;
    // As with any video, the source that it had already is loaded anew.
    if (name === "src" && before === now) this.video.load();
    else this.#passOn(name);
    if (name === "src" || name === "autoplay") this.#playByItself();
  }

  #passOn(name) {
    const value = this.getAttribute(name);
    if (name === "muted") this.video.muted = value !== null;
    // Browsers start only what they show, and they do not show this video: see #playByItself.
    else if (name === "autoplay" || this.video.getAttribute(name) === value) return;
    else if (value === null) this.video.removeAttribute(name);
    else this.video.setAttribute(name, value);
    if (name === "src" && value === null) this.video.load();
  }

  #open() {
    const canvas = document.createElement("canvas");
    try {
      this.#painter = new Painter(canvas);
    } catch (problem) {
      this.#say(problem.message);
      return;
    }
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.#painter?.setUp();
      this.#draw();
    });
    this.#show(canvas);
  }

  #say(sentence) {
    const text = document.createElement("p");
    text.setAttribute("part", "problem");
    text.textContent = sentence;
    this.#show(text);
  }

  #show(element) {
    // The video stays where it is: one that is taken out of its page stops.
    while (this.#root.lastChild !== this.video) this.#root.lastChild.remove();
    this.#root.append(element);
  }

  /** As large as the picture, unless the page says otherwise; then the picture keeps its shape. */
  #layOut() {
    const [width, height] = [this.video.videoWidth, this.video.videoHeight / 2];
    const shape = width && height ? `aspect-ratio: ${width} / ${height};` : "";
    this.#style.replaceSync(`
      :host { display: inline-block; ${shape} }
      :host([hidden]) { display: none; }
      canvas { display: block; width: 100%; height: 100%; object-fit: contain; }`);
  }

  #see(inSight) {
    this.#inSight = inSight;
    if (inSight) {
      if (this.#isResting) this.#play();
      else this.#playByItself();
      this.#isResting = false;
      this.#wake();
    } else if (this.hasAttribute("autoplay") && this.video.muted && !this.video.paused) {
      this.#isResting = true;
      this.video.pause();
    }
  }

  #playByItself() {
    const isNew = this.video.paused && this.video.currentTime === 0;
    if (this.hasAttribute("autoplay") && this.#inSight && isNew) this.#play();
  }

  #play() {
    // A browser may refuse, as with any video that has sound; then it waits for the page.
    this.video.play().catch(() => {});
  }

  /** Draws now, and each time that there is another frame. */
  #wake() {
    this.#draw();
    if (!this.#inSight || this.#asked !== null) return;
    const next = () => {
      this.#asked = null;
      this.#wake();
    };
    if (this.video.requestVideoFrameCallback) {
      this.#asked = this.video.requestVideoFrameCallback(next);
    } else if (!this.video.paused && !this.video.ended) {
      this.#asked = requestAnimationFrame(next);
    }
  }

  #draw() {
    if (!this.#painter || !this.#inSight) return;
    if (this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    try {
      this.#painter.draw(this.video);
    } catch (problem) {
      if (problem.name !== "SecurityError") throw problem;
      this.#painter = null;
      this.#say(OTHER_SITE);
    }
  }
}

if (!customElements.get("stacked-alpha-video")) {
  customElements.define("stacked-alpha-video", StackedAlphaVideo);
}
