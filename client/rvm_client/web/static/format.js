// Numbers as people read them.

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

/** 4180220 as "4.2 MB". */
export function bytes(count) {
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 75.4 as "1 min 15 s". */
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours) {
    return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  }
  return minutes ? (rest ? `${minutes} min ${rest} s` : `${minutes} min`) : `${rest} s`;
}

/** 75.4 as "1:15.40". */
export function clock(seconds) {
  const hundredths = Math.round(Math.max(0, seconds) * 100);
  const minutes = Math.floor(hundredths / 6000);
  const rest = String(Math.floor(hundredths / 100) % 60).padStart(2, "0");
  return `${minutes}:${rest}.${String(hundredths % 100).padStart(2, "0")}`;
}

/** 0.432 as "43 %". */
export function percent(fraction) {
  return `${Math.floor(Math.min(1, Math.max(0, fraction)) * 100)}%`;
}

/** 23.976023 as "23.98". */
export function rate(fps) {
  return fps >= 100 ? String(Math.round(fps)) : String(Math.round(fps * 100) / 100);
}

/** The time of day of Unix seconds. */
export function timeOfDay(unixSeconds) {
  return new Date(unixSeconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
