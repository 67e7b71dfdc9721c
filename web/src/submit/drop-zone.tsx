import { useEffect, useRef, useState, type ReactElement } from "react";

import { Icon } from "../shell/icons";
import { droppedFiles, recordingsOf } from "./dropped-files";

interface Props {
  isCompact: boolean;
  onFiles: (files: readonly File[]) => void;
}

/** Takes files and folders, dropped anywhere on the page or chosen in the system's dialog. */
export function DropZone({ isCompact, onFiles }: Props): ReactElement {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const isOver = useDrop(onFiles);
  const take = (input: HTMLInputElement, onlyRecordings: boolean): void => {
    onFiles(onlyRecordings ? recordingsOf(input.files ?? []) : [...(input.files ?? [])]);
    input.value = ""; // so that the same file can be chosen again
  };
  return (
    <section
      aria-label="Choose recordings"
      className={`flex flex-col items-center justify-center gap-4 rounded-2xl border-2 border-dashed px-4 text-center
        transition-colors ${isCompact ? "py-6" : "py-14"} ${isOver ? "border-accent bg-accent-soft" : "border-line bg-surface"}`}
    >
      {!isCompact && (
        <div>
          <Icon name="upload" className="mx-auto size-9 text-accent" />
          <p className="mt-3 text-xl font-semibold">Drop recordings here</p>
          <p className="mt-1 text-sm text-muted">
            Audio and video files of any kind, one or many, or whole folders.
          </p>
        </div>
      )}
      <div className="flex flex-wrap justify-center gap-2">
        <button type="button" className={`button ${isCompact ? "" : "button-primary"}`} onClick={() => files.current?.click()}>
          <Icon name="plus" /> {isCompact ? "Add files" : "Choose files"}
        </button>
        <button type="button" className="button" onClick={() => folder.current?.click()}>
          <Icon name="folder" /> {isCompact ? "Add a folder" : "Choose a folder"}
        </button>
      </div>
      <input
        ref={files}
        type="file"
        multiple
        accept="audio/*,video/*,.wav,.w64,.rf64,.flac,.aiff,.aif,.opus,.caf,.mka"
        hidden
        onChange={(event) => take(event.currentTarget, false)}
      />
      <input
        ref={(input) => {
          folder.current = input;
          input?.setAttribute("webkitdirectory", ""); // React's types do not know it
        }}
        type="file"
        multiple
        hidden
        onChange={(event) => take(event.currentTarget, true)}
      />
    </section>
  );
}

/** Hands dropped files to `onFiles`; true while something is dragged over the page. */
function useDrop(onFiles: (files: readonly File[]) => void): boolean {
  const [isOver, setIsOver] = useState(false);
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const over = (event: DragEvent): void => {
      event.preventDefault(); // else the browser opens the file in place of the page
      setIsOver(true);
    };
    const leave = (event: DragEvent): void => {
      if (event.relatedTarget === null) setIsOver(false);
    };
    const drop = (event: DragEvent): void => {
      event.preventDefault();
      setIsOver(false);
      if (event.dataTransfer !== null) void droppedFiles(event.dataTransfer).then(onFiles);
    };
    window.addEventListener("dragover", over, { signal });
    window.addEventListener("dragleave", leave, { signal });
    window.addEventListener("drop", drop, { signal });
    return () => controller.abort();
  }, [onFiles]);
  return isOver;
}
