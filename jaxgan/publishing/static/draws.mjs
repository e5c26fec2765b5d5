// The library's random numbers, so that a seed is the same picture here and there: JAX's threefry2x32, its keys, and its
// uniform and normal numbers in float32.
//   Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3; Giles 2012, Approximating the erfinv function.

const TURNS = [[13, 15, 26, 6], [17, 29, 16, 24]];

// Two words of 32 bits from a counter of two words, under a key of two words.
export function threefry([k0, k1], x0, x1) {
  const keys = [k0, k1, k0 ^ k1 ^ 0x1bd11bda];
  x0 = (x0 + k0) | 0;
  x1 = (x1 + k1) | 0;
  for (let round = 0; round < 5; round++) {
    for (const turn of TURNS[round % 2]) {
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << turn) | (x1 >>> (32 - turn))) ^ x0;
    }
    x0 = (x0 + keys[(round + 1) % 3]) | 0;
    x1 = (x1 + keys[(round + 2) % 3] + round + 1) | 0;
  }
  return [x0 >>> 0, x1 >>> 0];
}

export const keyOf = (seed) => [0, seed >>> 0];
export const foldIn = (key, number) => threefry(key, 0, number >>> 0);

// jax.random.bits(key, (count,)): each number from a counter of its own.
export function bits(key, count) {
  return Uint32Array.from({ length: count }, (_, i) => {
    const [high, low] = threefry(key, 0, i);
    return high ^ low;
  });
}

const word = new Uint32Array(1);
const asFloat = new Float32Array(word.buffer);

// In [low, high), as jax.random.uniform makes them: 23 bits as a float in [1, 2), less 1.
export function uniform(key, count, low = 0, high = 1) {
  const [a, b] = [Math.fround(low), Math.fround(high)];
  return Float32Array.from(bits(key, count), (n) => {
    word[0] = (n >>> 9) | 0x3f800000;
    return Math.max(a, Math.fround(Math.fround((asFloat[0] - 1) * Math.fround(b - a)) + a));
  });
}

const NEAR = [2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4, -1.25372503e-3, -4.17768164e-3,
  0.246640727, 1.50140941];
const FAR = [-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3, -7.6224613e-3, 9.43887047e-3,
  1.00167406, 2.83297682];

export function erfInverse(x) {
  let w = -Math.log1p(-x * x);
  const near = w < 5;
  w = near ? w - 2.5 : Math.sqrt(w) - 3;
  return (near ? NEAR : FAR).reduce((sum, each) => sum * w + each) * x;
}

// The number above -1 in float32, at which JAX begins.
const LEAST = -0.9999999403953552;
export const normal = (key, count) => uniform(key, count, LEAST, 1).map((u) => Math.SQRT2 * erfInverse(u));

const norm = (z) => Math.sqrt(z.reduce((sum, each) => sum + each * each, 0));

function sphere(key, count) {
  const z = normal(key, count);
  const radius = norm(z) / Math.sqrt(count);
  return z.map((each) => each / radius);
}

const KINDS = { normal, sphere, uniform: (key, count) => uniform(key, count, -1, 1) };

// Latent i of a seed: that of image i.
export const latent = (kind, seed, i, length) => KINDS[kind](foldIn(keyOf(seed), i), length);

// The great circle from a to b, t from 0 to 1, whose length goes evenly from that of a to that of b.
export function between(a, b, t) {
  const [long, far] = [norm(a), norm(b)];
  const cosine = a.reduce((sum, each, i) => sum + each * b[i], 0) / (long * far);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const straight = Math.sin(angle) < 1e-3;
  const [p, q] = straight ? [1 - t, t] : [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
  const length = straight ? 1 : (1 - t) * long + t * far;
  return a.map((each, i) => (straight ? p * each + q * b[i] : length * ((p * each) / long + (q * b[i]) / far)));
}
