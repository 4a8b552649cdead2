// Two videos in step: the result leads, the source follows. Their frames have the same times.

const FAR_SECONDS = 0.2;
const NEAR_SECONDS = 0.008;
const CATCH_UP_SECONDS = 0.5;
const PATIENCE_MS = 1000;

export class Pair {
  /**
   * `follower` may be null; it is `offset` seconds ahead, where the result is of a part of it.
   * `shown(seconds)` is called with the time of each frame shown.
   */
  constructor(leader, follower, { fps, offset }, shown) {
    this.leader = leader;
    this.follower = follower;
    this.offset = offset || 0;
    this.fps = fps || 30;
    this.shown = shown;
    this.ended = false;
    this.lead = new Seeker(leader);
    this.follow = follower && new Seeker(follower);
    this.leader.addEventListener("ended", () => this.again());
    this.watch();
  }

  get duration() {
    return Number.isFinite(this.leader.duration) ? this.leader.duration : 0;
  }

  get playing() {
    return !this.leader.paused && !this.ended;
  }

  get frame() {
    return Math.floor(this.lead.seconds * this.fps + 1e-6);
  }

  /** How far the follower is from the leader, in seconds. */
  get drift() {
    return this.follower ? this.leader.currentTime + this.offset - this.follower.currentTime : 0;
  }

  async play() {
    try {
      await Promise.all([this.leader.play(), this.follower?.play()]);
    } catch {
      // The browser does not let it play by itself, or it was paused at once.
    }
  }

  pause() {
    this.leader.pause();
    this.follower?.pause();
    this.seek(this.lead.seconds);
  }

  /** Go to the frame of this moment, to its middle, so that rounding shows no other. */
  seek(seconds) {
    const frames = Math.max(1, Math.round(this.duration * this.fps));
    const index = Math.min(Math.max(0, Math.floor(seconds * this.fps + 1e-6)), frames - 1);
    const middle = (index + 0.5) / this.fps;
    this.lead.to(middle);
    this.follow?.to(middle + this.offset);
    this.shown(middle);
  }

  /** So many frames on, or back. */
  step(frames) {
    if (this.playing) {
      this.pause();
    }
    this.seek((this.frame + frames + 0.5) / this.fps);
  }

  /** Start over, both together. */
  async again() {
    if (this.ended) {
      return;
    }
    this.seek(0);
    await this.play();
  }

  watch() {
    const next = (take) =>
      this.leader.requestVideoFrameCallback
        ? this.leader.requestVideoFrameCallback(take)
        : requestAnimationFrame(take);
    const frame = () => {
      if (!this.ended) {
        this.correct();
        this.shown(this.leader.currentTime);
        next(frame);
      }
    };
    next(frame);
  }

  /** Bring the follower near: by a jump from far, by its speed from near. */
  correct() {
    if (!this.follower || !this.playing) {
      return;
    }
    const drift = this.drift;
    if (Math.abs(drift) > FAR_SECONDS) {
      this.follower.currentTime = this.leader.currentTime + this.offset;
    } else {
      const bend = Math.abs(drift) > NEAR_SECONDS ? drift / CATCH_UP_SECONDS : 0;
      const pace = 1 + Math.min(0.1, Math.max(-0.1, bend));
      this.follower.playbackRate = this.leader.playbackRate * pace;
    }
    if (this.follower.paused && !this.follower.ended) {
      this.follower.play().catch(() => {});
    }
  }

  close() {
    this.ended = true;
    this.leader.pause();
    this.follower?.pause();
  }
}

/** Seeks one after the other, and leaves out those that are overtaken: many at once stall players. */
class Seeker {
  constructor(video) {
    this.video = video;
    this.wanted = null;
    this.begun = 0;
    video.addEventListener("seeked", () => this.next());
  }

  /** Where the video is, or is about to be. */
  get seconds() {
    return this.wanted ?? this.video.currentTime;
  }

  to(seconds) {
    this.video.playbackRate = 1;
    this.wanted = Math.min(seconds, Math.max(0, (this.video.duration || Infinity) - 0.001));
    if (!this.video.seeking || performance.now() - this.begun > PATIENCE_MS) {
      this.next();
    }
  }

  next() {
    if (this.wanted !== null) {
      this.begun = performance.now();
      this.video.currentTime = this.wanted;
      this.wanted = null;
    }
  }
}
