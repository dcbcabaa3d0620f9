// FLV as it comes over HTTP: sound and pictures of one track each, legacy and Enhanced.
//
// Of each packet: `kind` (audio, video), `config` (a decoder's) or `data`, `key`; in milliseconds
// `time`, when it is to be decoded, and `shown`, when to be shown.

const FILE_HEADER = 13; // bytes, as our server sends it
const TAG_HEADER = 11;
const TRAILER = 4;
const [AUDIO, VIDEO] = [8, 9];
const [AVC, AAC, MP3, ENHANCED] = [7, 10, 2, 9]; // as FLV numbers them
const [START, FRAMES, FRAMES_X] = [0, 1, 3]; // packet types of Enhanced RTMP
const WITH_OFFSET = new Set(["avc1", "hvc1", "vvc1"]); // whose pictures may be shown out of order

export class Flv {
  #rest = new Uint8Array(0);
  #begun = false;

  /** The packets that these bytes complete. */
  *feed(bytes) {
    let buffer = bytes;
    if (this.#rest.length) {
      buffer = new Uint8Array(this.#rest.length + bytes.length);
      buffer.set(this.#rest);
      buffer.set(bytes, this.#rest.length);
    }
    let position = 0;
    if (!this.#begun) {
      if (buffer.length < FILE_HEADER) return void (this.#rest = buffer);
      this.#begun = true;
      position = FILE_HEADER;
    }
    while (buffer.length - position >= TAG_HEADER) {
      const head = buffer.subarray(position, position + TAG_HEADER);
      const end = position + TAG_HEADER + ((head[1] << 16) | (head[2] << 8) | head[3]);
      if (buffer.length < end + TRAILER) break;
      const time = ((head[7] << 24) | (head[4] << 16) | (head[5] << 8) | head[6]) >>> 0;
      const payload = buffer.slice(position + TAG_HEADER, end);
      position = end + TRAILER;
      const read = { [VIDEO]: picture, [AUDIO]: sound }[head[0]] ?? nothing;
      const packet = read(payload, time);
      if (packet !== null) yield packet;
    }
    this.#rest = buffer.slice(position);
  }
}

const nothing = () => null;

const fourcc = (payload) => String.fromCharCode(...payload.subarray(1, 5));

function picture(payload, time) {
  if (payload.length < 5) return null;
  const enhanced = payload[0] & 0x80;
  if (!enhanced && (payload[0] & 0x0f) !== AVC) return null;
  const key = ((payload[0] >> 4) & 7) === 1;
  const type = enhanced ? payload[0] & 0x0f : payload[1];
  const offset = !enhanced || (type === FRAMES && WITH_OFFSET.has(fourcc(payload)));
  const start = enhanced ? (offset ? 8 : 5) : 5;
  const shown = time + (offset ? signed24(payload, start - 3) : 0);
  const data = payload.subarray(start);
  if (type === START) return { kind: "video", config: payload.subarray(5) };
  if (type !== FRAMES && !(enhanced && type === FRAMES_X)) return null;
  return data.length ? { kind: "video", data, key, time, shown } : null;
}

function sound(payload, time) {
  const format = payload[0] >> 4;
  const packet = (data) =>
    data.length ? { kind: "audio", data, key: true, time, shown: time } : null;
  if (format === MP3) return packet(payload.subarray(1));
  if (payload.length < 2 || (format !== AAC && format !== ENHANCED)) return null;
  const type = format === AAC ? payload[1] : payload[0] & 0x0f;
  const data = payload.subarray(format === AAC ? 2 : 5);
  if (type === START) return { kind: "audio", config: data };
  return type === FRAMES ? packet(data) : null;
}

function signed24(bytes, at) {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8)) >> 8;
}
