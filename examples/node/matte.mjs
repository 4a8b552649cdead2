#!/usr/bin/env node
// Raw RGB frames in, raw alpha or RGBA out. `node matte.mjs --help` says how.

import { createReadStream, createWriteStream, readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';

import { MattingSession } from './session.mjs';

const HELP = `node matte.mjs --size WIDTHxHEIGHT < frames.rgb > alpha.gray

Frames are raw: 3 bytes a pixel (rgb24). The result is the alpha, 1 byte a pixel.

  --size WxH         of the frames, in pixels
  --server H:P       the server's gRPC endpoint [127.0.0.1:8001]
  --input FILE       in place of stdin
  --output FILE      in place of stdout
  --rgba             write foreground and alpha, 4 bytes a pixel, not premultiplied
  --ratio R          above 0 and at most 1 [512 / the longer side, at most 1]
  --frames T         frames of one request [4]
  --wait SECONDS     how long a server that was lost is waited for [30]
  --token-file FILE  with the token that the server asks for
  --tls              an encrypted connection
  --ca FILE          whom to trust, as PEM; implies --tls
`;

const text = { type: 'string' };
const flag = { type: 'boolean', default: false };
const OPTIONS = {
  size: text,
  server: { ...text, default: '127.0.0.1:8001' },
  input: text,
  output: text,
  rgba: flag,
  ratio: text,
  frames: { ...text, default: '4' },
  wait: { ...text, default: '30' },
  'token-file': text,
  tls: flag,
  ca: text,
  help: flag,
};

/** A mistake in the command line. */
class UsageError extends Error {}

async function main() {
  const options = parsed();
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const [width, height] = size(options.size);
  const session = await MattingSession.connect(options.server, {
    width,
    height,
    downsampleRatio: options.ratio && number('ratio', options.ratio),
    resendForMs: 1000 * number('wait', options.wait),
    token: options['token-file'] && readFileSync(options['token-file'], 'utf8').trim(),
    tls: options.tls || options.ca !== undefined,
    rootCertificates: options.ca && readFileSync(options.ca),
  });
  try {
    await pipeline(
      options.input ? createReadStream(options.input) : process.stdin,
      (source) => mattes(session, chunks(source, width * height * 3, options), options.rgba),
      options.output ? createWriteStream(options.output) : process.stdout,
    );
  } finally {
    session.close();
  }
}

function parsed() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    throw new UsageError(error.message.split('\n')[0]);
  }
}

function size(value) {
  const found = /^([1-9]\d*)x([1-9]\d*)$/.exec(value ?? '');
  if (!found) throw new UsageError(`--size is ${value ?? 'missing'}; give WIDTHxHEIGHT in pixels`);
  return [Number(found[1]), Number(found[2])];
}

function number(name, value) {
  const found = Number(value);
  if (!(found > 0)) throw new UsageError(`--${name} is ${value}; give a number above 0`);
  return found;
}

/** Pieces of the source of T whole frames each, the last one of those that are left. */
async function* chunks(source, frameBytes, options) {
  const chunkBytes = frameBytes * Math.ceil(number('frames', options.frames));
  let pieces = [];
  let bytes = 0;
  for await (const piece of source) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes < chunkBytes) continue;
    let all = Buffer.concat(pieces);
    for (; all.length >= chunkBytes; all = all.subarray(chunkBytes)) {
      yield all.subarray(0, chunkBytes);
    }
    pieces = [all];
    bytes = all.length;
  }
  if (bytes % frameBytes) {
    throw new Error(
      `the input ends within a frame: ${bytes % frameBytes} of ${frameBytes} bytes; check --size`,
    );
  }
  if (bytes) yield Buffer.concat(pieces);
}

async function* mattes(session, source, asRgba) {
  for await (const frames of source) {
    const { foreground, alpha } = await session.matte(frames);
    yield asRgba ? rgba(foreground, alpha) : alpha;
  }
}

/** Foreground and alpha, pixel by pixel. */
function rgba(foreground, alpha) {
  const pixels = Buffer.allocUnsafe(4 * alpha.length);
  for (let i = 0; i < alpha.length; i += 1) {
    pixels[4 * i] = foreground[3 * i];
    pixels[4 * i + 1] = foreground[3 * i + 1];
    pixels[4 * i + 2] = foreground[3 * i + 2];
    pixels[4 * i + 3] = alpha[i];
  }
  return pixels;
}

try {
  await main();
} catch (error) {
  // Who reads the result has enough of it, as with `| head`.
  if (error.code !== 'EPIPE') {
    process.stderr.write(`matte: ${error.message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
