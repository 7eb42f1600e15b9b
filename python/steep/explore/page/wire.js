// Requests to the server that served this page. Addresses are relative, so each carries the token of the page's own.
// A message is a JSON header and bytes, as explore/frames.py packs them.

const text = new TextDecoder();

/** The messages in some bytes, and how many bytes they took. */
function messages(bytes) {
  const found = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const part = (from) => {
    if (from + 4 > bytes.length) return null;
    const end = from + 4 + view.getUint32(from, true);
    return end > bytes.length ? null : bytes.subarray(from + 4, end);
  };
  for (;;) {
    const header = part(at);
    const body = header && part(at + 4 + header.length);
    if (!body) return { found, used: at };
    found.push({ ...JSON.parse(text.decode(header)), bytes: body });
    at += 8 + header.length + body.length;
  }
}

async function checked(answer) {
  if (answer.ok) return answer;
  let why = `${answer.status} ${answer.statusText}`;
  try {
    why = (await answer.json()).error || why;
  } catch {
    // the status says what there is to say
  }
  throw new Error(why);
}

async function ask(path, options) {
  try {
    return await checked(await fetch(path, options));
  } catch (error) {
    if (error instanceof TypeError) throw new Error("steep explore is not running any more: start it again");
    throw error;
  }
}

export const about = async () => (await ask("about")).json();

/** One message: of an image, or of a frame. */
export async function message(path, body) {
  const answer = await ask(path, body === undefined ? {} : { method: "POST", body });
  return messages(new Uint8Array(await answer.arrayBuffer())).found[0];
}

/** The messages of a job, as they come. Aborting the signal cancels the job. */
export async function* job(request, signal) {
  yield { kind: "waiting", before: await waiting() };
  const done = await turn(signal);
  try {
    yield { kind: "waiting", before: 0 };
    yield* answers(request, signal);
  } finally {
    done();
  }
}

// A browser opens six connections to a server, for all its tabs, and the answer to a job occupies one from when it is
// asked for. So jobs wait in the browser, for a lock that all tabs share: six that wait would leave none for a page.
const LOCK = "steep explore: a job";

/** The number of jobs of this browser that run or wait. */
async function waiting() {
  const { held, pending } = (await navigator.locks?.query()) ?? { held: [], pending: [] };
  return [...held, ...pending].filter((each) => each.name === LOCK).length;
}

/** Waits for this job's turn; gives a function that ends it. A tab that is closed ends its own. */
function turn(signal) {
  if (!navigator.locks) return () => {};
  return new Promise((begin, fail) => {
    navigator.locks.request(LOCK, { signal }, () => new Promise((end) => begin(end))).catch(fail);
  });
}

async function* answers(request, signal) {
  const answer = await ask("job", { method: "POST", body: JSON.stringify(request), signal });
  const reader = answer.body.getReader();
  let kept = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(kept.length + value.length);
    joined.set(kept);
    joined.set(value, kept.length);
    const { found, used } = messages(joined);
    kept = joined.slice(used);
    for (const each of found) {
      if (each.kind === "error") throw new Error(each.text);
      yield each;
    }
  }
}
