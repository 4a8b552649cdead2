// A connection to a Triton server: the two calls that matting needs, and how they fail.

import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const PROTO = fileURLToPath(new URL('proto/grpc_service.proto', import.meta.url));
const { inference } = grpc.loadPackageDefinition(
  loadSync(PROTO, { keepCase: true, longs: Number, defaults: true }),
);

const TOKEN_HEADER = 'triton-grpc-protocol-rvm-token';
const CHANNEL = {
  // gRPC's own limit is 4 MB, which is less than one frame of 1080p.
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // A server that comes back is found within a second.
  'grpc.initial_reconnect_backoff_ms': 250,
  'grpc.max_reconnect_backoff_ms': 1000,
};

/** A call that failed; `message` is one sentence. */
export class TritonError extends Error {
  name = 'TritonError';

  /**
   * @param {string} message
   * @param {boolean} isLost the server has gone or is busy: the same request may be sent again
   */
  constructor(message, isLost = false) {
    super(message);
    this.isLost = isLost;
  }
}

/**
 * @typedef {object} ConnectionOptions
 * @property {number} [requestTimeoutMs] how long one request may take; 60,000
 * @property {string} [token] what the server asks for, if it does
 * @property {boolean} [tls] whether the connection is encrypted
 * @property {Buffer} [rootCertificates] PEM; whom to trust in place of the well-known authorities
 */

export class TritonConnection {
  #client;
  #metadata = new grpc.Metadata();

  /**
   * @param {string} address HOST:PORT of the server's gRPC endpoint
   * @param {ConnectionOptions} [options]
   */
  constructor(address, { requestTimeoutMs = 60_000, token, tls = false, rootCertificates } = {}) {
    this.address = address;
    this.requestTimeoutMs = requestTimeoutMs;
    const credentials = tls
      ? grpc.credentials.createSsl(rootCertificates)
      : grpc.credentials.createInsecure();
    this.#client = new inference.GRPCInferenceService(address, credentials, CHANNEL);
    if (token) this.#metadata.set(TOKEN_HEADER, token);
  }

  /**
   * @param {object} request ModelMetadataRequest
   * @returns {Promise<object>} ModelMetadataResponse
   * @throws {TritonError}
   */
  modelMetadata(request) {
    return this.#call('ModelMetadata', request);
  }

  /**
   * @param {object} request ModelConfigRequest
   * @returns {Promise<object>} ModelConfigResponse
   * @throws {TritonError}
   */
  modelConfig(request) {
    return this.#call('ModelConfig', request);
  }

  /**
   * @param {object} request ModelInferRequest
   * @returns {Promise<object>} ModelInferResponse
   * @throws {TritonError}
   */
  modelInfer(request) {
    return this.#call('ModelInfer', request);
  }

  close() {
    this.#client.close();
  }

  #call(method, request) {
    const deadline = Date.now() + this.requestTimeoutMs;
    return new Promise((resolve, reject) => {
      this.#client[method](request, this.#metadata, { deadline }, (error, answer) =>
        error ? reject(this.#ours(error)) : resolve(answer),
      );
    });
  }

  #ours({ code, details }) {
    const reason = reasonOf(details);
    const server = `the Triton server at ${this.address}`;
    if (/xceeds maximum queue size|Request timeout expired/.test(reason)) {
      return new TritonError(`${server} has too much to do: ${reason}`, true);
    }
    if (code === grpc.status.UNAVAILABLE) {
      return new TritonError(
        `no Triton server answers at ${this.address}; start one with rvm-serve, or check the ` +
          `address and the port (it must be the gRPC port): ${reason}`,
        true,
      );
    }
    if (code === grpc.status.DEADLINE_EXCEEDED) {
      const seconds = this.requestTimeoutMs / 1000;
      return new TritonError(`${server} did not answer within ${seconds} s: ${reason}`, true);
    }
    // Triton's Python backend says so of a model whose process has died. rvm-serve replaces it.
    const isLost = reason.includes('is not healthy');
    return new TritonError(`${server} refused the request: ${reason}`, isLost);
  }
}

/** The one line of what grpc-js or the server said that says why. */
function reasonOf(details) {
  const said = details.replace(/[. ]*Resolution note:.*$/s, '').trim();
  // NVIDIA's PyTorch backend puts a trace before the reason.
  return said.split('\n').at(-1) || 'no reason is given';
}
