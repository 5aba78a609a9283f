// A worker that returns the SHA-256 of a file. The browser's own function needs HTTPS and the whole file in memory.

const CHUNK = 4 * 1024 * 1024;
const BLOCK = 64;

const fractions = (count, root) => {
  const found = [];
  for (let candidate = 2; found.length < count; candidate++) {
    let isPrime = true;
    for (let factor = 2; factor * factor <= candidate; factor++) if (candidate % factor === 0) isPrime = false;
    if (isPrime) found.push(((candidate ** (1 / root) % 1) * 2 ** 32) | 0);
  }
  return found;
};

const ROUNDS = Int32Array.from(fractions(64, 3));
const state = Int32Array.from(fractions(8, 2));
const words = new Int32Array(64);

const turn = (word, bits) => (word >>> bits) | (word << (32 - bits));

// Without iterators, which would make it several times slower.
const addBlock = (view, offset, w, k, sum) => {
  for (let i = 0; i < 16; i++) w[i] = view.getInt32(offset + i * 4);
  for (let i = 16; i < 64; i++) {
    const near = w[i - 2];
    const far = w[i - 15];
    const s0 = turn(far, 7) ^ turn(far, 18) ^ (far >>> 3);
    const s1 = turn(near, 17) ^ turn(near, 19) ^ (near >>> 10);
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
  }
  let a = sum[0], b = sum[1], c = sum[2], d = sum[3], e = sum[4], f = sum[5], g = sum[6], h = sum[7];
  for (let i = 0; i < 64; i++) {
    const t1 = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + k[i] + w[i]) | 0;
    const t2 = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  sum[0] += a;
  sum[1] += b;
  sum[2] += c;
  sum[3] += d;
  sum[4] += e;
  sum[5] += f;
  sum[6] += g;
  sum[7] += h;
};

const addBlocks = (bytes) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let offset = 0; offset + BLOCK <= bytes.byteLength; offset += BLOCK) addBlock(view, offset, words, ROUNDS, state);
};

// The end of the file, a one bit, zeros, and the length in bits.
const lastBlocks = (rest, size) => {
  const padded = new Uint8Array(rest.length + 9 <= BLOCK ? BLOCK : 2 * BLOCK);
  padded.set(rest);
  padded[rest.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(size / 2 ** 29));
  view.setUint32(padded.length - 4, (size * 8) % 2 ** 32);
  return padded;
};

onmessage = async ({ data: file }) => {
  try {
    let rest = new Uint8Array();
    for (let offset = 0; offset < file.size; offset += CHUNK) {
      const bytes = new Uint8Array(await file.slice(offset, offset + CHUNK).arrayBuffer());
      addBlocks(bytes);
      rest = bytes.subarray(bytes.length - (bytes.length % BLOCK));
      postMessage({ done: Math.min(1, (offset + CHUNK) / file.size) });
    }
    addBlocks(lastBlocks(rest, file.size));
    postMessage({ digest: [...state].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("") });
  } catch {
    postMessage({ digest: null });
  }
};
