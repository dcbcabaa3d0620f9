// A look at a live stream: FLV from the server, decoded by the browser (WebCodecs).

import { Flv } from "./flv.js";

const LEAD = 0.25; // seconds between the arrival of a packet and its turn
const [EARLY, LATE] = [0.7, -0.3]; // of that; beyond, what has just come is what is live
const MOST_QUEUED = 90; // packets: this processor is too slow, and the rest waits for a key frame
const MOST_FRAMES = 45; // pictures that wait for their turn

const INSECURE =
  "This browser shows no live pictures here: it needs WebCodecs, which it has over HTTPS only.";
const UNDECODABLE = "This browser can decode nothing of it.";
const BROKEN = "This browser could not decode its picture.";

const SAID = { vp08: "vp8", vp09: "vp09.00.10.08", Opus: "opus", ".mp3": "mp3", fLaC: "flac" };
// Codecs of which the server knows no more than the name; what else there is stands in the packets.

/** When it is a packet's turn, in seconds of this page. */
class Pace {
  #start = null;

  arrive(time) {
    const lead = this.#start === null ? null : this.due(time) - now();
    if (lead === null || lead > EARLY || lead < LATE) this.#start = now() + LEAD - time;
  }

  due(time) {
    return this.#start + time;
  }
}

const now = () => performance.now() / 1000;

/** Shows one stream at a time. */
export class Player {
  #desk;
  #canvas;
  #tell;
  #abort = null;
  #sound = null;
  #loud = false;

  /** `tell(words)`: what is to be known of it. */
  constructor(desk, canvas, tell) {
    this.#desk = desk;
    this.#canvas = canvas;
    this.#tell = tell;
  }

  /** Show it until `stop` or its end. */
  async play(id) {
    this.stop();
    const abort = (this.#abort = new AbortController());
    this.#canvas.width = this.#canvas.height = 0;
    let words = "It has ended.";
    try {
      await this.#run(id, abort.signal);
    } catch (error) {
      words = error.message;
    }
    if (abort.signal.aborted) return; // somebody wanted it so
    this.stop();
    this.#tell(words);
  }

  /** Harmless at any time. */
  stop() {
    this.#abort?.abort();
    this.#abort = null;
    this.#sound = null;
  }

  /** Sound on or off. */
  set loud(on) {
    this.#loud = on;
    this.#sound?.louden(on);
  }

  async #run(id, signal) {
    if (!("VideoDecoder" in globalThis)) throw new Error(INSECURE);
    this.#tell("Asking for it …");
    const { tracks } = await this.#desk.get(`streams/${id}`);
    signal.throwIfAborted();
    const of = (kind) => tracks.find((track) => track.kind === kind);
    const pace = new Pace();
    const picture = await Picture.of(of("video"), this.#canvas, pace, signal);
    const sound = await Sound.of(of("audio"), pace, signal);
    signal.throwIfAborted();
    this.#sound = sound;
    sound?.louden(this.#loud);
    if (picture === null && sound === null) throw new Error(UNDECODABLE);
    const why = of("video") ? "This browser cannot decode its picture" : "It has no picture";
    const reader = (await this.#desk.open(`streams/${id}/flv`, "", signal)).body.getReader();
    this.#tell(picture === null ? `${why}: there is only sound.` : "");
    const flv = new Flv();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      for (const packet of flv.feed(value)) {
        if (!packet.config) pace.arrive(packet.time / 1000);
        if (packet.kind === "video") picture?.take(packet);
        else sound?.take(packet);
      }
      if (picture?.broken) throw new Error(BROKEN);
    }
  }
}

/** A decoder that begins with a key frame, and anew when the stream has another configuration. */
class Track {
  #Chunk;
  #description = null;
  #waits = true;

  constructor(Decoder, Chunk, config, output) {
    this.#Chunk = Chunk;
    this.config = config;
    this.decoder = new Decoder({ output, error: () => {} }); // it is closed then
  }

  get closed() {
    return this.decoder.state === "closed";
  }

  take({ config, data, key, shown }) {
    if (this.closed) return;
    if (config !== undefined) {
      if (String(config) !== String(this.#description)) this.#configure(config);
      return;
    }
    if (this.decoder.state === "unconfigured") this.#configure(null);
    this.#waits ||= this.decoder.decodeQueueSize > MOST_QUEUED;
    if (this.#waits && !key) return;
    this.#waits = false;
    const type = key ? "key" : "delta";
    this.decoder.decode(new this.#Chunk({ type, timestamp: shown * 1000, data }));
  }

  close() {
    if (!this.closed) this.decoder.close();
  }

  #configure(description) {
    this.#description = description;
    this.#waits = true;
    this.decoder.configure(description === null ? this.config : { ...this.config, description });
  }
}

const named = (track) => track?.parameters ?? SAID[track?.codec] ?? "";

async function supported(Decoder, config) {
  try {
    return (await Decoder.isConfigSupported(config)).supported;
  } catch {
    return false;
  }
}

function whenAborted(signal, act) {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
}

class Picture {
  #frames = [];

  static async of(track, canvas, pace, signal) {
    const config = { codec: named(track), optimizeForLatency: true };
    const can = track && (await supported(VideoDecoder, config));
    return can ? new Picture(config, canvas, pace, signal) : null;
  }

  constructor(config, canvas, pace, signal) {
    this.pace = pace;
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.track = new Track(VideoDecoder, EncodedVideoChunk, config, (frame) => this.#keep(frame));
    this.take = (packet) => this.track.take(packet);
    const draw = () => {
      if (signal.aborted) return;
      this.#draw();
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
    whenAborted(signal, () => {
      this.track.close();
      for (const frame of this.#frames.splice(0)) frame.close();
    });
  }

  get broken() {
    return this.track.closed;
  }

  #keep(frame) {
    this.#frames.push(frame);
    while (this.#frames.length > MOST_FRAMES) this.#frames.shift().close();
  }

  #draw() {
    const isDue = (frame) => this.pace.due(frame.timestamp / 1e6) <= now();
    while (this.#frames.length > 1 && isDue(this.#frames[1])) this.#frames.shift().close();
    if (!this.#frames.length || !isDue(this.#frames[0])) return;
    const frame = this.#frames.shift();
    if (this.canvas.width !== frame.displayWidth || this.canvas.height !== frame.displayHeight) {
      this.canvas.width = frame.displayWidth;
      this.canvas.height = frame.displayHeight;
    }
    this.context.drawImage(frame, 0, 0, this.canvas.width, this.canvas.height);
    frame.close();
  }
}

class Sound {
  #next = 0;
  #output = null;

  static async of(track, pace, signal) {
    const config = {
      codec: named(track),
      sampleRate: track?.sample_rate ?? 48000,
      numberOfChannels: track?.channels ?? 2,
    };
    const can = track && (await supported(AudioDecoder, config));
    return can ? new Sound(config, pace, signal) : null;
  }

  constructor(config, pace, signal) {
    this.pace = pace;
    this.track = new Track(AudioDecoder, EncodedAudioChunk, config, (data) => this.#play(data));
    this.take = (packet) => this.track.take(packet);
    whenAborted(signal, () => {
      this.louden(false);
      this.track.close();
    });
  }

  louden(on) {
    if (on && this.#output === null) this.#output = new AudioContext();
    else if (!on) this.#output?.close();
    if (!on) this.#output = null;
  }

  #play(data) {
    const output = this.#output;
    if (output !== null) {
      const { numberOfChannels: channels, numberOfFrames: frames, sampleRate: rate } = data;
      const buffer = output.createBuffer(channels, frames, rate);
      for (let channel = 0; channel < channels; channel += 1) {
        data.copyTo(buffer.getChannelData(channel), { planeIndex: channel, format: "f32-planar" });
      }
      const wanted = output.currentTime + this.pace.due(data.timestamp / 1e6) - now();
      const at = Math.abs(wanted - this.#next) < 0.1 ? this.#next : wanted; // without a gap
      this.#next = at + buffer.duration;
      if (at > output.currentTime) {
        const source = output.createBufferSource();
        source.buffer = buffer;
        source.connect(output.destination);
        source.start(at);
      }
    }
    data.close();
  }
}
