/** One of a few, with its name above it. */

export interface Option {
  value: string;
  words: string;
}

interface Props {
  title: string;
  value: string;
  options: Option[];
  choose: (value: string) => void;
}

export function Choice({ title, value, options, choose }: Props) {
  return (
    <label>
      {title}
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.words}
          </option>
        ))}
      </select>
    </label>
  );
}

export function named(names: readonly string[]): Option[] {
  return names.map((name) => ({ value: name, words: name }));
}
