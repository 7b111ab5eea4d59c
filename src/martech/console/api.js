// The public REST API with a secret key, and nothing else.

// The server said no, and why: `detail` is written for people.
export class Refused extends Error {
  constructor(status, problem, wait) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    this.wait = wait;
  }
}

// Nobody answered.
export class Away extends Error {}

const PATIENCE = 15_000;

export class Api {
  constructor(key, heard) {
    this.key = key;
    this.heard = heard; // is told of every answer, and of every silence
  }

  async get(path, query = {}) {
    const asked = Object.entries(query).filter(([, value]) => value !== undefined);
    const target = asked.length ? `${path}?${new URLSearchParams(asked)}` : path;
    const answer = await this.#fetch(target, "application/json", AbortSignal.timeout(PATIENCE));
    try {
      return await answer.json();
    } catch {
      throw this.#away();
    }
  }

  // Server-sent events, as long as there are any; each `data` is JSON. `signal` ends it.
  async stream(path, tell, signal) {
    const answer = await this.#fetch(path, "text/event-stream", signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.split("\n").filter((line) => line.startsWith("data:"));
        if (data.length) tell(JSON.parse(data.map((line) => line.slice(5).trim()).join("\n")));
      }
    }
  }

  async #fetch(target, accept, signal) {
    const headers = { accept };
    if (this.key) headers.authorization = `Bearer ${this.key}`;
    let answer;
    try {
      answer = await fetch(target, { headers, signal, cache: "no-store", credentials: "omit" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw this.#away();
    }
    this.heard(true);
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    throw new Refused(answer.status, problem, Number(answer.headers.get("retry-after")) || 0);
  }

  #away() {
    this.heard(false);
    return new Away("The server does not answer.");
  }
}
