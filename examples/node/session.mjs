// One video on its way through the model.

import { setTimeout as sleep } from 'node:timers/promises';

import { TritonConnection, TritonError } from './triton.mjs';

const MODEL = 'rvm_mobilenetv3';
const STATES = ['r1', 'r2', 'r3', 'r4'];
const STATE_BYTES = { FP32: 4, FP16: 2 };
const RESEND_PAUSE_MS = 500;

/**
 * @typedef {object} Tensor
 * @property {string} datatype
 * @property {number[]} shape
 * @property {Uint8Array} data row by row, little-endian
 */

/**
 * @typedef {object} Mattes
 * @property {Buffer} foreground T * height * width * 3 bytes: straight RGB
 * @property {Buffer} alpha T * height * width bytes: 0 transparent, 255 opaque
 */

/**
 * @typedef {object} VideoOptions
 * @property {number} width of all frames, in pixels
 * @property {number} height
 * @property {number} [downsampleRatio] above 0 and at most 1; a fitting one by the size
 * @property {number} [resendForMs] how long a request that the server lost is sent again; 30,000
 */

/**
 * The mattes of one video at a time. The recurrent state is kept here and not on the server: so
 * any server with the same model can take the next request, and a lost one is sent again.
 */
export class MattingSession {
  #connection;
  #version;
  #stateDatatype;
  #video;
  /** @type {Record<string, Tensor>} */
  #states;
  #isBusy = false;

  /**
   * Connect, and ask the model what it takes.
   *
   * @param {string} address HOST:PORT of the server's gRPC endpoint
   * @param {VideoOptions & import('./triton.mjs').ConnectionOptions} options
   * @returns {Promise<MattingSession>}
   * @throws {TritonError} no server answers there, or it serves no such model
   */
  static async connect(address, { width, height, downsampleRatio, resendForMs, ...options }) {
    const connection = new TritonConnection(address, options);
    try {
      const metadata = await connection.modelMetadata({ name: MODEL });
      const { config } = await connection.modelConfig({ name: MODEL });
      return new MattingSession(connection, metadata, config, {
        width,
        height,
        downsampleRatio: downsampleRatio ?? fittingRatio(width, height),
        resendForMs: resendForMs ?? 30_000,
      });
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Use `connect`. */
  constructor(connection, metadata, config, video) {
    const state = metadata.inputs.find(({ name }) => name === 'r1i');
    if (!(state?.datatype in STATE_BYTES)) {
      throw new TritonError(
        `the model ${MODEL} at ${connection.address} has no state that this client knows; ` +
          'serve a model that rvm-export made',
      );
    }
    this.#connection = connection;
    // It is sent with each request: a video never mixes versions.
    this.#version = activeVersion(metadata, config);
    this.#stateDatatype = state.datatype;
    this.#video = video;
    this.reset();
  }

  /** Forget what was seen: the next frames are the start of a video or of a scene. */
  reset() {
    // One zero stands for a state of any size.
    const start = {
      datatype: this.#stateDatatype,
      shape: [1, 1, 1, 1],
      data: Buffer.alloc(STATE_BYTES[this.#stateDatatype]),
    };
    this.#states = Object.fromEntries(STATES.map((name) => [name, start]));
  }

  /**
   * The mattes of the next T frames, one or more. One call at a time: each needs the state that
   * the one before it brings.
   *
   * @param {Uint8Array} frames T * height * width * 3 bytes: RGB, full range
   * @returns {Promise<Mattes>}
   * @throws {TritonError} the server refused the request, or stayed away for too long
   */
  async matte(frames) {
    if (this.#isBusy) throw new Error('the frames before these are still at work: await them');
    this.#isBusy = true;
    try {
      const outputs = await this.#infer(this.#inputs(frames));
      // Only now: what failed can be sent again.
      this.#states = Object.fromEntries(STATES.map((name) => [name, outputs[`${name}o`]]));
      return { foreground: outputs.fgr.data, alpha: outputs.pha.data };
    } finally {
      this.#isBusy = false;
    }
  }

  close() {
    this.#connection.close();
  }

  /** @returns {Record<string, Tensor>} */
  #inputs(frames) {
    const { width, height, downsampleRatio } = this.#video;
    const count = frames.length / (height * width * 3);
    if (count < 1 || !Number.isInteger(count)) {
      throw new RangeError(
        `${frames.length} bytes are no whole number of frames of ${width}x${height} RGB pixels`,
      );
    }
    const ratio = Buffer.alloc(4);
    ratio.writeFloatLE(downsampleRatio);
    return {
      src: { datatype: 'UINT8', shape: [1, count, height, width, 3], data: frames },
      ...Object.fromEntries(STATES.map((name) => [`${name}i`, this.#states[name]])),
      downsample_ratio: { datatype: 'FP32', shape: [1], data: ratio },
    };
  }

  /**
   * @param {Record<string, Tensor>} inputs
   * @returns {Promise<Record<string, Tensor>>}
   */
  async #infer(inputs) {
    const answer = await this.#send({
      model_name: MODEL,
      model_version: this.#version,
      inputs: Object.entries(inputs).map(([name, { datatype, shape }]) => ({
        name,
        datatype,
        shape,
      })),
      raw_input_contents: Object.values(inputs).map(({ data }) => data),
    });
    return Object.fromEntries(
      answer.outputs.map(({ name, datatype, shape }, i) => [
        name,
        { datatype, shape, data: answer.raw_output_contents[i] },
      ]),
    );
  }

  /** Send a request, and again where the server lost it: it holds all that the model needs. */
  async #send(request) {
    let untilMs;
    for (;;) {
      try {
        return await this.#connection.modelInfer(request);
      } catch (error) {
        untilMs ??= Date.now() + this.#video.resendForMs;
        if (!error.isLost || Date.now() + RESEND_PAUSE_MS > untilMs) throw error;
        await sleep(RESEND_PAUSE_MS);
      }
    }
  }
}

/** The ratio at which the longer side has at most 512 pixels. */
/** The version that a new video begins with: the one that the config names, or the highest. */
function activeVersion(metadata, config) {
  const named = config.parameters?.active_version?.string_value;
  return metadata.versions.includes(named)
    ? named
    : String(Math.max(...metadata.versions.map(Number)));
}

function fittingRatio(width, height) {
  return Math.min(512 / Math.max(width, height), 1);
}
