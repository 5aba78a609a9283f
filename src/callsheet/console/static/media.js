// Media: waveforms of audio files, and players that are compared at the same position.

const BARS = 240;

const draw = (canvas, samples) => {
  const context = canvas.getContext("2d");
  const part = Math.max(1, Math.floor(samples.length / BARS));
  const peaks = Array.from({ length: BARS }, (_, bar) => {
    let peak = 0;
    for (let i = bar * part; i < Math.min((bar + 1) * part, samples.length); i++) peak = Math.max(peak, Math.abs(samples[i]));
    return peak;
  });
  const loudest = Math.max(...peaks, 1e-4);
  context.fillStyle = getComputedStyle(canvas).color;
  peaks.forEach((peak, bar) => {
    const height = Math.max(1, (peak / loudest) * canvas.height);
    context.fillRect((bar * canvas.width) / BARS, (canvas.height - height) / 2, canvas.width / BARS - 1, height);
  });
};

const showWaveform = async (audio) => {
  const response = await fetch(audio.dataset.waveform);
  if (!response.ok) return;
  const decoder = new OfflineAudioContext(1, 1, 8000);
  const sound = await decoder.decodeAudioData(await response.arrayBuffer()).catch(() => null);
  // A format that the browser cannot decode has no waveform; its player says so itself.
  if (sound === null) return;
  const canvas = document.createElement("canvas");
  canvas.className = "waveform";
  canvas.width = 2 * BARS;
  canvas.height = 64;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Waveform");
  canvas.addEventListener("click", (event) => {
    audio.currentTime = (event.offsetX / canvas.clientWidth) * sound.duration;
  });
  audio.before(canvas);
  draw(canvas, sound.getChannelData(0));
};

const whenVisible = (elements, act) => {
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      act(target);
      observer.unobserve(target);
    }
  });
  elements.forEach((each) => observer.observe(each));
};

export const loadMedia = (root) => {
  whenVisible(root.querySelectorAll("video[data-lazy]"), (video) => {
    video.preload = "metadata";
  });
  whenVisible(root.querySelectorAll("audio[data-waveform]"), showWaveform);
};

export const synchronize = (bar) => {
  const players = [...document.querySelectorAll(".compared video, .compared audio")];
  const button = bar.querySelector("button");
  const position = bar.querySelector("input");
  const longest = () => Math.max(...players.map((player) => player.duration || 0), 0.001);
  const isPlaying = () => players.some((player) => !player.paused);
  bar.hidden = players.length < 2;
  button.addEventListener("click", () => {
    const pause = isPlaying();
    for (const player of players) {
      if (pause) player.pause();
      else player.play();
    }
  });
  position.addEventListener("input", () => {
    for (const player of players) player.currentTime = Math.min(position.value * longest(), player.duration || 0);
  });
  for (const player of players) {
    for (const type of ["play", "pause", "ended"]) {
      player.addEventListener(type, () => (button.textContent = isPlaying() ? "Pause all" : "Play all"));
    }
    player.addEventListener("timeupdate", () => {
      if (document.activeElement !== position) position.value = Math.max(...players.map((each) => each.currentTime)) / longest();
    });
  }
};
