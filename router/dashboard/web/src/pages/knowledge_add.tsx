/** Files of whoever is signed in, into a space: chosen or dropped; each is uploaded as his, and read afterwards. */

import { useRef, useState } from "preact/hooks";
import { Problem } from "../parts/empty";
import { plural } from "../parts/words";
import { refused } from "../store/session";
import type { Space } from "../wire/knowledge";
import { knowledge } from "../wire/knowledge_api";

export function AddFiles({ space, again }: { space: Space; again: () => void }) {
  const [said, setSaid] = useState("");
  const [problems, setProblems] = useState<string[]>([]);
  const [over, setOver] = useState(false);
  const adding = useRef(false);
  const add = async (files: File[]) => {
    if (adding.current || files.length === 0) return;
    adding.current = true;
    setProblems([]);
    let done = 0;
    for (const [at, file] of files.entries()) {
      setSaid(`Uploading ${file.name}, ${at + 1} of ${files.length} …`);
      try {
        await knowledge.add(space.id, file);
        done += 1;
      } catch (error) {
        const why = refused(error);
        setProblems((before) => [...before, `${file.name}: ${why}`]);
      }
      again();
    }
    setSaid(`${plural(done, "file")} of ${files.length} uploaded; they are read now.`);
    adding.current = false;
  };
  return (
    <section aria-label="Add files">
      <div
        class={over ? "drop over" : "drop"}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          void add([...(event.dataTransfer?.files ?? [])]);
        }}
      >
        <label>
          Add files to it
          <input
            type="file"
            multiple
            onChange={(event) => {
              const chosen = [...(event.currentTarget.files ?? [])];
              event.currentTarget.value = "";
              void add(chosen);
            }}
          />
        </label>
        <span class="quietly">or drop them here</span>
      </div>
      <p role="status" class="quietly">
        {said}
      </p>
      {problems.map((problem) => (
        <Problem key={problem} text={problem} />
      ))}
    </section>
  );
}
