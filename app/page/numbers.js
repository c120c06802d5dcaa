/** Numbers as the language of the page writes them. */

/** `value` with its thousands grouped and a true minus sign. */
export function number(value) {
  return formatted(value, {}).replace("-", "−");
}

/** Some `seconds`, with one unit. */
export function duration(seconds) {
  const [value, unit, digits] =
    seconds < 1 ? [seconds * 1000, "millisecond", 0] : [seconds, "second", 1];
  return formatted(value, { style: "unit", unit, maximumFractionDigits: digits });
}

/** Formats are dear to make, and thousands of rows ask for the same few. */
const formats = new Map();

function formatted(value, options) {
  const language = document.documentElement.lang;
  const name = `${language} ${options.unit}`;
  if (!formats.has(name)) formats.set(name, new Intl.NumberFormat(language, options));
  return formats.get(name).format(value);
}
