// The scans of this session: those still in this page (chosen, uploading, refused) and those of the server.
import { Gone, Problem, request, upload } from "./api.js";

const UPLOADS = 2;
const QUICK_MS = 250, SLOW_MS = 2000, IDLE_MS = 30000, SHARE = 8;
const MOST_RETRY_S = 30;
const ACTIVE = ["queued", "running"];
export const FINAL = ["done", "failed", "cancelled"];

// One scan. `state`: waiting, uploading, or the state of the server's job; `share`: of the upload that is sent.
class Scan {
  constructor(chosen, added, job = null) {
    Object.assign(this, { chosen, added, job, share: 0, error: null, abort: null, retry: "" });
    this.isUploading = false;
    this.key = `scan${(Scan.count = (Scan.count ?? 0) + 1)}`;
  }
  get name() { return this.job?.name || this.chosen.name; }
  get state() {
    if (this.error) return "failed";
    return this.job?.status ?? (this.isUploading ? "uploading" : "waiting");
  }
  get problem() { return this.error ?? this.job?.error; }
  get isFinal() { return FINAL.includes(this.state); }
}

export class Session {
  // `on` has changed(), moved(scan) after a change of a state, gone(seconds or 0) and login().
  constructor(on) {
    Object.assign(this, { on, scans: [], uploads: 0, pauseUntil: 0, timer: 0, wait: QUICK_MS, failures: 0 });
    Object.assign(this, { isPolling: false, isAgain: false, isLocked: false, removed: new Set() });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.poll(); });
  }

  add(chosen) {
    const added = chosen.map((one, k) => new Scan(one, Date.now() + k / 1000));
    this.scans.push(...added);
    this.on.changed();
    this.pump();
    return added;
  }

  // Cancel what is not finished, remove what is.
  async drop(scan) {
    scan.abort?.abort();
    if (scan.job) {
      try {
        await request("DELETE", `v1/predictions/${scan.job.id}`);
      } catch (error) {
        if (!(error instanceof Problem && error.status === 404)) {
          this.trouble(error);
          return;
        }
      }
    }
    if (scan.isFinal || !scan.job) {
      this.scans = this.scans.filter((one) => one !== scan);
      this.removed.add(scan.job?.id);
    }
    this.on.changed();
    this.soon();
  }

  // Send a scan again, with a pixel size or an area, in place of its failure.
  async again(scan, options) {
    if (scan.job) await this.drop(scan);
    this.scans = this.scans.filter((one) => one !== scan);
    return this.add([{ ...scan.chosen, ...options }])[0];
  }

  // Send what waits, unless the server wants to be left alone for a while, or wants a token first.
  pump() {
    clearTimeout(this.pumping);
    if (this.isLocked) return;
    const left = this.pauseUntil - Date.now();
    if (left > 0) {
      this.pumping = setTimeout(() => this.pump(), left);
      return;
    }
    for (const scan of this.scans) {
      if (this.uploads >= UPLOADS) return;
      if (scan.state === "waiting") this.send(scan);
    }
  }

  async send(scan) {
    this.uploads += 1;
    scan.abort = new AbortController();
    Object.assign(scan, { isUploading: true, share: 0, retry: "" });
    this.on.changed();
    const progress = (share) => { scan.share = share; this.on.changed(); };
    try {
      const job = await upload(scan.chosen, progress, scan.abort.signal);
      this.scans = this.scans.filter((one) => one.job?.id !== job.id);  // A list that came first may have it.
      Object.assign(scan, { job, sent: Date.now() });
      this.alive();
    } catch (error) {
      if (error instanceof Problem && error.retryAfter) this.pause(scan, error.retryAfter, "the server is busy");
      else if (error instanceof Gone) this.pause(scan, this.trouble(error), "the server does not answer");
      else if (error instanceof Problem && error.status === 401) this.trouble(error);
      else if (error instanceof Problem) scan.error = error.error;
    }
    this.uploads -= 1;
    scan.isUploading = false;
    if (this.scans.includes(scan)) this.on.moved(scan);
    this.on.changed();
    this.soon();
    this.pump();
  }

  start() {
    this.isLocked = false;
    return this.poll().then(() => this.pump());
  }

  pause(scan, seconds, why) {
    this.pauseUntil = Math.max(this.pauseUntil, Date.now() + seconds * 1000);
    scan.retry = `${why}, next try in ${Math.ceil((this.pauseUntil - Date.now()) / 1000)} s`;
  }

  // What a failed request means for the page; returns the seconds until the next try.
  trouble(error) {
    if (error instanceof Problem) {
      if (error.status === 401) {
        this.isLocked = true;
        this.on.login();
      }
      return error.retryAfter || MOST_RETRY_S;
    }
    this.failures += 1;
    const seconds = Math.min(2 ** (this.failures - 1), MOST_RETRY_S);
    this.on.gone(seconds);
    return seconds;
  }

  alive() {
    if (this.failures) this.on.gone(0);
    this.failures = 0;
  }

  // Ask the server in a moment: something has changed.
  soon() {
    this.wait = QUICK_MS;
    if (this.isPolling) this.isAgain = true;
    else this.plan(QUICK_MS);
  }

  plan(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), ms);
  }

  // One request for all scans. It is repeated while one is queued or running, slower while nothing changes, and never
  // takes more than a small share of the time.
  async poll() {
    if (this.isPolling) return;
    clearTimeout(this.timer);
    this.isPolling = true;
    const begun = Date.now();
    let next = IDLE_MS, isReached = true;
    try {
      const changed = this.merge(await request("GET", "v1/predictions"), begun);
      this.alive();
      const isActive = this.scans.some((scan) => ACTIVE.includes(scan.state));
      this.wait = changed ? QUICK_MS : Math.min(this.wait * 1.3, SLOW_MS);
      if (isActive) next = Math.max(this.wait, SHARE * (Date.now() - begun));
    } catch (error) {
      isReached = false;
      next = this.trouble(error) * 1000;
      if (error.status === 401) return;
    } finally {
      this.isPolling = false;
    }
    if (isReached && this.isAgain) next = QUICK_MS;
    this.isAgain = false;
    if (!document.hidden || next < IDLE_MS) this.plan(next);
  }

  merge(jobs, begun) {
    const known = new Map(this.scans.filter((scan) => scan.job).map((scan) => [scan.job.id, scan]));
    const listed = new Set(jobs.map((job) => job.id));
    let changed = false;
    for (const job of jobs) {
      if (this.removed.has(job.id)) continue;
      const scan = known.get(job.id), before = scan && JSON.stringify(scan.job);
      if (!scan) this.scans.push(new Scan({ name: job.name, files: [] }, Date.parse(job.created), job));
      const state = scan?.state;
      if (scan) scan.job = job;
      if (scan && state !== scan.state) this.on.moved(scan);
      changed ||= before !== JSON.stringify(job);
    }
    const stays = (scan) => !scan.job || listed.has(scan.job.id) || scan.sent > begun;
    const count = this.scans.length;
    this.scans = this.scans.filter(stays);
    changed ||= count !== this.scans.length;
    if (changed) this.on.changed();
    return changed;
  }
}
