// The server's answers, and its sentences where it has none.

import { T } from "./texts.js";

/** What the server refused, in its own sentence. `status` is 0 where it was not reached. */
export class ApiError extends Error {
  constructor(status, sentence, details = {}) {
    super(sentence);
    this.status = status;
    this.details = details;
  }
}

export const PAGE_HEADER = { "X-RVM-Page": "1" };

/** JSON of the answer, null where it has none. Throws an ApiError. */
export async function call(method, path, { json, body, signal } = {}) {
  const headers = { ...PAGE_HEADER };
  if (json !== undefined) {
    headers["Content-Type"] = "application/json";
  }
  const sent = json === undefined ? body : JSON.stringify(json);
  let answer;
  try {
    answer = await fetch(`api/${path}`, { method, headers, body: sent, signal });
  } catch (error) {
    throw signal?.aborted ? error : new ApiError(0, T.errors.unreachable);
  }
  return read(answer);
}

async function read(answer) {
  const text = await answer.text();
  const content = parsed(text);
  if (answer.ok) {
    return content;
  }
  if (answer.status === 401) {
    document.dispatchEvent(new CustomEvent("locked"));
  }
  throw new ApiError(answer.status, content?.error ?? T.errors.status(answer.status), content ?? {});
}

export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
