throw new Error('entry file is broken');
