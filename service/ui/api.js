const KEY = "roadtwin.key";

export const key = {
  get() {
    try {
      return sessionStorage.getItem(KEY);
    } catch {
      return null;
    }
  },
  set(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
    dispatchEvent(new Event("roadtwin-key"));
  },
};

/** An answer that is not a success: an RFC 9457 problem. */
export class Problem extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title);
    this.status = problem.status;
    this.type = problem.type;
  }
}

async function request(path, options = {}) {
  const headers = new Headers(options.headers);
  const secret = key.get();
  if (secret) headers.set("X-API-Key", secret);
  const answer = await fetch(path, { ...options, headers });
  if (!answer.ok) {
    const isProblem = answer.headers.get("content-type")?.startsWith("application/problem+json");
    throw new Problem(isProblem ? await answer.json() : { status: answer.status, detail: answer.statusText });
  }
  return answer;
}

function query(parameters) {
  const given = Object.entries(parameters).filter(([, v]) => v !== null && v !== undefined && v !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export async function get(path, parameters = {}) {
  return (await request(path + query(parameters))).json();
}

/** The answer together with its entity tag, to see whether it is another one than before. */
export async function getTagged(path, parameters, tag) {
  const answer = await request(path + query(parameters));
  const newTag = answer.headers.get("etag");
  return newTag && newTag === tag ? { tag, body: null } : { tag: newTag, body: await answer.json() };
}

export async function post(path, body) {
  const options = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return (await request(path, options)).json();
}

export async function download(path, parameters, name) {
  const blob = await (await request(path + query(parameters))).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Segment ids hold colons; slashes stay as they are: the route takes a path. */
export const segmentPath = (id) => `/v1/segments/${id.split("/").map(encodeURIComponent).join("/")}`;
